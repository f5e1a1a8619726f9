"""Outcomes and radiomics as rich tables."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from calibration.evaluation.discrimination import Discrimination
from calibration.evaluation.kappa import Kappa
from calibration.evaluation.outcomes import OutcomeFigures
from calibration.evaluation.radiomics import FeatureErrors, over_cases

_SCORES = {"po": "PO", "ihu": "iHU"}
_SEVERITY_HEADS = ("severe by", "severe", "others", "AUC", "cut", "sensitivity", "specificity")
_KAPPA_HEADS = ("change of PO", "pairs", "agreement", "kappa")
_FEATURE_HEADS = ("relative error, %", "cases", "mean", "without sign", "worst")


def outcome_views(outcomes: OutcomeFigures | None) -> list[RenderableType]:
    """Severity and direction; nothing where nobody gave a table."""
    if outcomes is None:
        return []
    severity, kappas = _table(_SEVERITY_HEADS), _table(_KAPPA_HEADS)
    for score, name in _SCORES.items():
        severity.add_row(name, *_severity_cells(outcomes.severity[score]))
    kappas.add_row("all pairs", *_kappa_cells(outcomes.direction))
    kappas.add_row("changed ones, by sign", *_kappa_cells(outcomes.direction_of_changed))
    views: list[RenderableType] = [severity, "", kappas, ""]
    if names := ", ".join(outcomes.not_evaluated):
        views += [Text(f"In the table but not evaluated, or without PO: {names}."), ""]
    return views


def _severity_cells(found: Discrimination | None) -> list[str]:
    if found is None:
        return ["-"] * (len(_SEVERITY_HEADS) - 1)
    low, high = found.auc_interval
    cells = [str(found.severe), str(found.others), f"{found.auc:.3f} ({low:.3f} to {high:.3f})"]
    if found.cut is None:
        return [*cells, "-", "-", "-"]
    shares = (found.cut.sensitivity.share, found.cut.specificity.share)
    return [*cells, f"{found.cut.value:.2f}", *(f"{100 * share:.1f} %" for share in shares)]


def _kappa_cells(found: Kappa | None) -> list[str]:
    if found is None:
        return ["0", "-", "-"]
    cells = [str(found.pairs), f"{100 * found.observed:.1f} %"]
    if found.interval is None:
        return [*cells, "-"]
    return [*cells, f"{found.kappa:.3f} ({found.interval[0]:.3f} to {found.interval[1]:.3f})"]


def radiomics_views(cases: Mapping[str, FeatureErrors] | None) -> list[RenderableType]:
    """Errors of every feature of the lesion; nothing where nobody asked."""
    if cases is None:
        return []
    table = _table(_FEATURE_HEADS)
    for name, one in over_cases(cases.values()).items():
        values = (one.mean, one.mean_absolute, one.worst)
        cells = ("-" if value is None else f"{value:.2f}" for value in values)
        table.add_row(name, str(one.cases), *cells)
    return [table, ""]


def _table(heads: tuple[str, ...]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for place, head in enumerate(heads):
        table.add_column(head, justify="right" if place else "left")
    return table
