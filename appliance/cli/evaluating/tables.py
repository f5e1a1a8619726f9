"""An evaluation as rich tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from appliance.cli.evaluating.evaluation import Evaluation
from appliance.cli.evaluating.extras import outcome_views, radiomics_views
from calibration.evaluation import Agreement, CaseFigures, agreement, sections

_CASE_HEADS = (
    "case",
    "section",
    "Dice lesion",
    "Dice lung",
    "PO",
    "ref.",
    "PHO",
    "ref.",
    "PO whole",
    "s",
)
_PART_HEADS = ("mean (worst)", "cases", "Dice lesion", "Dice lung", "PO error", "PHO error")
_NAMES = {"thick_with_opacity": "thick, PO >= 0.5"}


def evaluation_view(evaluation: Evaluation) -> RenderableType:
    """A line a case, the means, and how PO and PHO agree with the reference."""
    figures = evaluation.figures
    views: list[RenderableType] = [_cases(figures), ""]
    overall = evaluation.document["overall"]
    assert isinstance(overall, dict)
    views.append(_parts({"all": overall} | sections(figures)))
    views += ["", _agreements(figures), ""]
    views += [*outcome_views(evaluation.extras.outcomes)]
    views += [*radiomics_views(evaluation.extras.radiomics)]
    if without := overall["cases_without_score"]:
        views.append(Text(f"No lung was found, and so there is no PO: {without} of the cases."))
    if evaluation.page:
        views.append(Text(f"Report: {evaluation.page}"))
    views.append(Text("Research software: not a diagnosis.", "dim"))
    return Group(*views)


def _cases(figures: Iterable[CaseFigures]) -> Table:
    table = _table(_CASE_HEADS, left=2)
    for one in figures:
        scores = (one.po, one.po_reference, one.pho, one.pho_reference, one.po_whole)
        table.add_row(
            escape(one.case),
            one.section,
            _number(one.lesion.dice, 3),
            _number(one.lung.dice, 3),
            *(_number(score, 2) for score in scores),
            _number(one.seconds, 1),
        )
    return table


def _parts(parts: Mapping[str, Mapping[str, object]]) -> Table:
    table = _table(_PART_HEADS, left=1)
    for name, part in parts.items():
        cells = [_NAMES.get(name, name), str(part["cases"])]
        for measure, digits in (
            ("dice_lesion", 3),
            ("dice_lung", 3),
            ("po_error", 2),
            ("pho_error", 2),
        ):
            mean, worst = part[f"{measure}_mean"], part[f"{measure}_worst"]
            cells.append(
                "-" if mean is None else f"{_number(mean, digits)} ({_number(worst, digits)})"
            )
        table.add_row(*cells)
    return table


def _agreements(figures: Iterable[CaseFigures]) -> Table:
    figures = list(figures)
    po = agreement([(one.po, one.po_reference) for one in figures])
    pho = agreement([(one.pho, one.pho_reference) for one in figures])
    heads = ("", "Pearson", "Spearman", "Kendall", "slope", "intercept", "r2", "chi2 p", "bias")
    table = _table(heads, left=1)
    for name, found in (("PO", po), ("PHO", pho)):
        table.add_row(name, *_agreement_cells(found))
    return table


def _agreement_cells(found: Agreement) -> list[str]:
    correlations = (found.pearson, found.spearman, found.kendall)
    line, chi, limits = found.regression, found.chi_squared, found.bland_altman
    fitted = (line.slope, line.intercept, line.r2) if line else (None, None, None)
    cells = [_number(one and one.coefficient, 3) for one in correlations]
    cells += [_number(value, 3) for value in fitted]
    return [*cells, _number(chi and chi.p, 3), _number(limits and limits.bias, 2)]


def _table(heads: Iterable[str], left: int) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for place, head in enumerate(heads):
        table.add_column(head, justify="left" if place < left else "right")
    return table


def _number(value: object, digits: int) -> str:
    return f"{value:.{digits}f}" if isinstance(value, float) else "-"
