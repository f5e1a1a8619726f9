from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from calibration.gate.gate import Gated
from calibration.gate.record import card_text, write_spec
from calibration.gate.verdict import Accuracy, Compared, judge
from engines.artefacts import Artefact, Calibration, GateRecord
from engines.card import write_gate_part
from engines.models import load_spec
from tests.tiny_models import write_tiny_repository

COMPARED = (Compared("b", Accuracy(0.8, 0.98, 5.0, 1.0), Accuracy(0.79, None, 5.5, 1.0)),)


JOINT = (replace(COMPARED[0], together=Accuracy(0.78, 0.98, 5.25, 1.0)),)


def made(folder: Path, dialect: str, compared: tuple[Compared, ...] = JOINT) -> Artefact:
    verdict = judge(compared, 2.5)
    figures = verdict.figures
    gate = GateRecord(
        verdict.passed, "ab", "cd", "3 planes", ("b",), "abacus 1", figures, ("lesion",)
    )
    how = Calibration("entropy", ("a",), ("stem", 'a "quoted" layer'))
    return Artefact("int8", folder / "1" / f"{dialect}.onnx", "ab", dialect, how, gate)


def rounded(artefact: Artefact) -> Artefact:
    assert artefact.gate is not None
    figures = {name: round(value, 6) for name, value in artefact.gate.figures.items()}
    return replace(artefact, gate=replace(artefact.gate, figures=figures))


def test_artefacts_are_written_in_place_of_their_like(tmp_path: Path) -> None:
    folder = write_tiny_repository(tmp_path) / "lung"
    before = load_spec(folder)
    both = [made(folder, "openvino"), made(folder, "tensorrt")]
    write_spec(folder, [replace(both[0], gate=None), both[1]])
    spec = write_spec(folder, both[:1])
    assert [one.dialect for one in spec.artefacts] == ["", "tensorrt", "openvino"]
    assert spec.artefact("int8", ["openvino"]) == rounded(both[0])
    assert spec.artefact("int8", ["tensorrt"]) == rounded(both[1])
    assert replace(spec, artefacts=before.artefacts) == before


def test_the_card_holds_one_table_and_what_was_around_it(tmp_path: Path) -> None:
    (tmp_path / "MODEL_CARD.md").write_text("# lung\n\nBefore.\n")
    gated = [Gated(made(tmp_path, "openvino"), JOINT, judge(JOINT, 2.5))]
    write_gate_part(tmp_path, "old text")
    text = (tmp_path / "MODEL_CARD.md").read_text()
    (tmp_path / "MODEL_CARD.md").write_text(text + "\nAfter.\n")
    write_gate_part(tmp_path, card_text(gated))
    card = (tmp_path / "MODEL_CARD.md").read_text()
    assert "old text" not in card
    assert card.startswith("# lung\n\nBefore.\n")
    assert card.endswith("\nAfter.\n")
    assert "| b | 0.8000 | 0.7900 | 0.7800 | 0.9800 | - | 0.9800 | 5.00 | 5.50 | 5.25 |" in card
    assert "together with lesion in int8 lesion Dice -0.0200" in card
    assert "**Failed**" in card
    assert "2.50 x as fast" in card
    alone = GateRecord(False, "ab", "cd", "3 planes", ("b",), "abacus 1", judge(COMPARED).figures)
    one = replace(made(tmp_path, "openvino"), gate=alone)
    text = card_text([Gated(one, COMPARED, judge(COMPARED))])
    assert "| b | 0.8000 | 0.7900 | 0.9800 | - | 5.00 | 5.50 | 1.00 | 1.00 |" in text
    assert "together" not in text
