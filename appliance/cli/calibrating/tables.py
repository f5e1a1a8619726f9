"""The gate's answer for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from calibration.gate.gate import Gated


def gate_view(gated: Sequence[Gated]) -> RenderableType:
    """A table and a verdict a dialect."""
    return Group(*(part for one in gated for part in (_table(one), _verdict(one))))


def _table(gated: Gated) -> Table:
    table = Table(title=f"int8, {gated.artefact.dialect} dialect")
    table.add_column("case")
    joint = any(one.together for one in gated.compared)
    sides = "fp32 / int8 / together" if joint else "fp32 / int8"
    for name in ("lesion Dice", "lung Dice", "PO %", "PHO %"):
        table.add_column(f"{name}\n{sides}", justify="right")
    for one in gated.compared:
        accuracies = [side for side in (one.fp32, one.int8, one.together) if side is not None]
        cells = [
            _cell([getattr(side, name) for side in accuracies], digits)
            for name, digits in (("dice_lesion", 3), ("dice_lung", 3), ("po", 2), ("pho", 2))
        ]
        table.add_row(escape(one.case), *cells)
    return table


def _cell(values: Sequence[float | None], digits: int) -> str:
    return " / ".join("-" if value is None else f"{value:.{digits}f}" for value in values)


def _verdict(gated: Gated) -> str:
    verdict, how = gated.verdict, gated.artefact.calibration
    speed = verdict.figures.get("speed_up")
    facts = ["passed" if verdict.passed else "FAILED: " + "; ".join(verdict.reasons)]
    facts.append("speed not measured" if speed is None else f"{speed:.2f} x as fast as fp32")
    if gated.artefact.gate and gated.artefact.gate.together:
        facts.append(f"together: with {' and '.join(gated.artefact.gate.together)} in int8")
    if how:
        kept = ", ".join(how.kept) or "none"
        facts.append(f"ranges by {how.method}, kept in fp32: {kept}")
    return escape(". ".join(facts) + ".")
