"""The gate's part of a card comes, changes and goes; what stands around it stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.card import BEGIN, END, remove_gate_part, write_gate_part

CARD = "# lung\n\nBefore.\n"


@pytest.mark.parametrize("after", ["", "\n## After\n\nMore.\n"])
def test_the_part_comes_changes_and_goes(tmp_path: Path, after: str) -> None:
    path = tmp_path / "MODEL_CARD.md"
    path.write_text(CARD)
    write_gate_part(tmp_path, "First \\1 table.")
    path.write_text(path.read_text() + after)
    write_gate_part(tmp_path, "\nSecond table.\n")
    assert path.read_text() == f"{CARD}\n{BEGIN}\nSecond table.\n{END}\n{after}"
    remove_gate_part(tmp_path)
    assert path.read_text() == CARD + after
    remove_gate_part(tmp_path)
    assert path.read_text() == CARD + after


def test_a_model_without_a_card(tmp_path: Path) -> None:
    remove_gate_part(tmp_path)
    assert not (tmp_path / "MODEL_CARD.md").exists()
    write_gate_part(tmp_path, "Table.")
    assert (tmp_path / "MODEL_CARD.md").read_text().startswith(f"# {tmp_path.name}\n\n{BEGIN}")
