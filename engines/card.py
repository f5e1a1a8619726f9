"""The part of a model's card that the accuracy gate writes, between its marks."""

from __future__ import annotations

import re
from pathlib import Path

BEGIN, END = "<!-- gate:begin -->", "<!-- gate:end -->"
_PART = re.compile(rf"\n*{BEGIN}.*?{END}\n*", re.S)


def write_gate_part(folder: Path, text: str) -> None:
    """Put Markdown into ``MODEL_CARD.md`` in place of what the gate wrote, or at its end."""
    path = folder / "MODEL_CARD.md"
    card = path.read_text(encoding="utf-8") if path.is_file() else f"# {folder.name}\n"
    part = f"\n\n{BEGIN}\n{text.strip()}\n{END}\n"
    before, *after = _PART.split(card, maxsplit=1)
    rest = f"\n{after[0]}" if after and after[0] else ""
    path.write_text(before.rstrip("\n") + part + rest, encoding="utf-8")


def remove_gate_part(folder: Path) -> None:
    """Take what the gate wrote out of ``MODEL_CARD.md``, where there is such a card."""
    path = folder / "MODEL_CARD.md"
    if path.is_file():
        card = path.read_text(encoding="utf-8")
        path.write_text(_PART.sub("\n\n", card).rstrip("\n") + "\n", encoding="utf-8")
