"""Systems are made of runs, measured on whom they never saw, and written into a document."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from calibration.evaluation import compare
from calibration.systems.__main__ import main
from calibration.systems.cost import Cost, cost
from calibration.systems.measure import Accuracy, SystemFigures
from calibration.systems.systems import SYSTEMS, Spent, SystemsError, Training
from calibration.systems.table import BEGIN, END, table_row, write_table
from engines.models import SECTIONS, load_repository, load_spec
from tests.evaluation.made_cases import made_chest, made_masks
from tests.systems.conftest import write_run
from tests.tiny_models import write_block_repository
from tests.training.made_cases import disks, write_case


def test_a_system_is_a_repository_of_its_lung_and_lesion_model(systems: Path) -> None:
    colinet = {spec.name: spec for spec in load_repository(systems / "colinet")}
    assert {name: spec.role for name, spec in colinet.items()} == {
        "colinet_lung": "lung",
        "colinet": "lesion",
    }
    pan = [spec.name for spec in load_repository(systems / "covidlesionnet")]
    assert pan == ["covidlesionnet", "lung"]
    assert all(spec.sections == SECTIONS for spec in colinet.values())
    training = Training.read(systems / "colinet")
    assert training.held_out == ("b",)
    assert training.spent["colinet_lung"] == Spent(minutes=1.5, steps=7)


def test_the_table_is_measured_on_the_patients_left_out(systems: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_case(tmp_path / "data" / name, spacing=5.0)
    page = tmp_path / "page.md"
    page.write_text(f"# Systems\n\n{BEGIN}\nold\n{END}\n\nAfterwards.\n")
    main(f"table --data {tmp_path / 'data'} --systems {systems} --out {page}".split())
    text = page.read_text()
    assert text.startswith("# Systems\n")
    assert text.endswith(f"{END}\n\nAfterwards.\n")
    assert "old" not in text
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| **")]
    assert [row[0] for row in rows] == [
        "| **COLI-Net** (Shiri et al. 2021)",
        "| **COVID-Lesion Net** (Pan et al. 2020)",
    ]
    assert rows[0][1] == "0.02 + 0.02"
    assert [row[7] for row in rows] == ["not calibrated", "not calibrated"]
    assert rows[0][8] == "2 (7) + 2 (7) |"
    assert "Measured on b, the scans of the patients that no network saw (b)" in text
    _, lesion, _ = disks()
    dice = 2 * lesion.sum() / (lesion.sum() + lesion.size)
    assert rows[1][3] == f"{dice:.3f} / -"


def test_int8_stands_beside_fp32_and_a_failed_gate_is_said() -> None:
    case = compare(made_chest(), made_masks(np.zeros((8, 64, 64)), np.ones((8, 64, 64))))
    fp32, int8 = (Accuracy((case, case), seconds) for seconds in (0.8, 0.25))
    figures = SystemFigures(
        SYSTEMS[0],
        Training(("b",), {"lung": Spent(9.0, 1200), "vbnet": Spent(35.0, 3053)}),
        (Cost(340_000, 644e6), Cost(2_621_812, 279e6)),
        {"fp32": fp32, "int8": int8},
        ("vbnet",),
        "openvino",
    )
    assert table_row(figures)[1:] == [
        "0.34 + 2.62",
        "0.64 + 0.28",
        "0.000 / 0.000",
        f"{case.lung.dice:.3f} / {case.lung.dice:.3f}",
        f"{case.po_reference:.2f} / {case.po_reference:.2f}",
        "20.0 / 64.0",
        "failed: vbnet",
        "9 (1200) + 35 (3053)",
    ]


def test_cost_counts_multiplications_and_shares_a_block_among_its_planes(tmp_path: Path) -> None:
    folder = write_block_repository(tmp_path)
    assert cost(load_spec(folder / "lung")) == Cost(2, 64 * 64)
    assert cost(load_spec(folder / "lesion_thick")) == Cost(4, 3 * 64 * 64)
    assert cost(load_spec(folder / "lesion_thin")) == Cost(4, 8 * 3 * 64 * 64 / (8 - 2))


@pytest.mark.parametrize("text", ["no marks", f"{END} {BEGIN}", f"{BEGIN}{END}" * 2])
def test_a_document_without_a_place_for_the_table_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "page.md").write_text(text)
    with pytest.raises(SystemsError, match="needs the lines"):
        write_table(tmp_path / "page.md", "table")
    assert (tmp_path / "page.md").read_text() == text


def test_runs_that_left_out_others_are_no_system(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "colinet_lung", "colinet_lung", ["a"])
    make = f"make --runs {tmp_path} --out {tmp_path / 'out'} --system colinet".split()
    assert _failure(make, capsys).endswith("holds no training run; COLI-Net needs it\n")
    write_run(tmp_path / "colinet", "colinet", ["b"])
    assert "must leave out the same patients" in _failure(make, capsys)
    assert not (tmp_path / "out").exists()


def test_systems_that_left_out_others_are_not_compared(
    tmp_path: Path, systems: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, patient in (("colinet", "a"), ("vbnet", "b")):
        (tmp_path / name).mkdir()
        Training((patient,), {}).write(tmp_path / name)
    page = tmp_path / "page.md"
    page.write_text(f"{BEGIN}\n{END}\n")
    table = f"table --data {tmp_path} --systems {tmp_path} --out {page}".split()
    assert "do not leave out the same patients" in _failure(table, capsys)
    table[4] = str(tmp_path / "vbnet")
    assert "no system found" in _failure(table, capsys)


def _failure(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 1
    return capsys.readouterr().err
