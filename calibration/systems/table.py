"""What the systems measured, as Markdown between two marks of a document."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from calibration.systems.measure import Accuracy, SystemFigures
from calibration.systems.systems import SystemsError

BEGIN, END = "<!-- systems:begin -->", "<!-- systems:end -->"
_PART = re.compile(rf"{BEGIN}.*?{END}", re.S)
_HEADS = (
    "system",
    "parameters (M)",
    "GMAC per slice",
    "lesion Dice fp32 / int8",
    "lung Dice fp32 / int8",
    "PO error (points) fp32 / int8",
    "slices/s of a core fp32 / int8",
    "INT8 gate",
    "training: minutes (steps)",
)


def write_table(document: Path, text: str) -> None:
    """Put Markdown between the marks of a document.

    Raises
    ------
    SystemsError
        When the document is missing or does not have them.
    """
    check_document(document)
    old = document.read_text(encoding="utf-8")
    document.write_text(_PART.sub(lambda _: f"{BEGIN}\n{text.strip()}\n{END}", old), "utf-8")


def check_document(document: Path) -> None:
    """Raises SystemsError where a table could not be written into a document."""
    if not document.is_file():
        raise SystemsError(f"{document} is not there; it needs the lines {BEGIN} and {END}")
    if len(_PART.findall(document.read_text(encoding="utf-8"))) != 1:
        raise SystemsError(f"{document} needs the lines {BEGIN} and {END}, once")


def table_text(figures: Sequence[SystemFigures]) -> str:
    """Two tables, means and scan by scan, and how they were measured."""
    return "\n\n".join([_grid(_HEADS, map(table_row, figures)), _by_case(figures), _how(figures)])


def table_row(one: SystemFigures) -> list[str]:
    """A system's cells."""

    def both(figure: Callable[[Accuracy], float], digits: int) -> str:
        values = [one.precisions.get(precision) for precision in ("fp32", "int8")]
        return " / ".join("-" if v is None else f"{figure(v):.{digits}f}" for v in values)

    lung, lesion = one.costs
    spent = [one.training.spent[name] for name in one.system.models]
    return [
        f"**{one.system.title}** ({one.system.paper})",
        f"{lung.parameters / 1e6:.2f} + {lesion.parameters / 1e6:.2f}",
        f"{lung.macs / 1e9:.2f} + {lesion.macs / 1e9:.2f}",
        both(lambda accuracy: accuracy.dice_lesion, 3),
        both(lambda accuracy: accuracy.dice_lung, 3),
        both(lambda accuracy: accuracy.po_error, 2),
        both(lambda accuracy: accuracy.slices_per_core_s, 1),
        _gate(one),
        " + ".join(f"{each.minutes:.0f} ({each.steps})" for each in spent),
    ]


def _gate(one: SystemFigures) -> str:
    if "int8" not in one.precisions:
        return "not calibrated"
    return f"failed: {' and '.join(one.failed)}" if one.failed else "passed"


def _by_case(figures: Sequence[SystemFigures]) -> str:
    cases = [case.case for case in figures[0].precisions["fp32"].cases]
    heads = ["lesion Dice fp32 / int8; PO found (reference), percent", *cases]
    return _grid(heads, ([one.system.title, *_cells(one)] for one in figures))


def _cells(one: SystemFigures) -> list[str]:
    cells = []
    for versions in zip(*(accuracy.cases for accuracy in one.precisions.values()), strict=True):
        dice = " / ".join(_number(case.lesion.dice, 3) for case in versions)
        found, reference = versions[0].po, versions[0].po_reference
        cells.append(f"{dice}; {_number(found, 1)} ({_number(reference, 1)})")
    return cells


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _how(figures: Sequence[SystemFigures]) -> str:
    first = figures[0]
    cases = first.precisions["fp32"].cases
    sections = sorted({f"{case.section} every {case.spacing_mm:g} mm" for case in cases})
    return (
        f"Measured on {', '.join(case.case for case in cases)}, the scans of the patients that no "
        f"network saw ({', '.join(first.training.held_out)}); {', '.join(sections)}. Run by "
        f"{first.runtime}. Sums are lung + lesion network. Slices/s are from HU to masks, by the "
        f"time of one core: a network of blocks has more to do where slices lie far apart."
    )


def _grid(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows])
