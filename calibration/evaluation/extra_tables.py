"""Outcomes and radiomics as HTML."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping

from calibration.evaluation.discrimination import Discrimination, Proportion
from calibration.evaluation.kappa import Kappa
from calibration.evaluation.outcomes import OutcomeFigures
from calibration.evaluation.plots import roc_curves
from calibration.evaluation.radiomics import FIRST_ORDER, LIBRARY, FeatureErrors, over_cases
from calibration.evaluation.tables import number, table

SCORES = {"po": "PO, % of lung", "ihu": "iHU, HU"}
_SEVERITY_HEADS = ("", "severe", "others", "AUC", "p", "cut", "sensitivity", "specificity")
_KAPPA_HEADS = ("change of PO against the radiologist", "pairs", "agreement", "kappa", "error")
_FEATURE_HEADS = ("relative error, %", "cases", "mean", "mean without sign", "worst")


def outcomes_section(outcomes: OutcomeFigures | None) -> str:
    """Severity and direction; a sentence where nobody gave a table."""
    if outcomes is None:
        return "<p>Not measured: no table of outcomes was given (<code>--outcomes</code>).</p>"
    severity = [
        [name, *_severity_cells(outcomes.severity[score])] for score, name in SCORES.items()
    ]
    kappas = [
        ["increased, decreased, unchanged", *_kappa_cells(outcomes.direction)],
        ["pairs called changed, by sign", *_kappa_cells(outcomes.direction_of_changed)],
    ]
    parts = [table(_SEVERITY_HEADS, severity), table(_KAPPA_HEADS, kappas), _pairs(outcomes)]
    if any(outcomes.severity.values()):
        picture = base64.b64encode(roc_curves(outcomes)).decode("ascii")
        image = f'<img alt="ROC curves" src="data:image/png;base64,{picture}">'
        parts.append(f'<div class="bars">{image}</div>')
    if outcomes.not_evaluated:
        names = html.escape(", ".join(outcomes.not_evaluated))
        parts.append(f"<p>In the table but not evaluated, or without PO: {names}.</p>")
    return f'<div class="wide">{"".join(parts)}</div>'


def _severity_cells(found: Discrimination | None) -> list[str]:
    if found is None:
        return ["-"] * (len(_SEVERITY_HEADS) - 1)
    low, high = found.auc_interval
    p = "&lt; 0.001" if found.p < 0.001 else number(found.p)
    cells = [str(found.severe), str(found.others), f"{found.auc:.3f} ({low:.3f} to {high:.3f})", p]
    if found.cut is None:
        return [*cells, "-", "-", "-"]
    cut = found.cut
    return [*cells, number(cut.value, 2), *map(_share, (cut.sensitivity, cut.specificity))]


def _share(one: Proportion) -> str:
    low, high = (100 * end for end in one.interval)
    return f"{100 * one.share:.1f} % ({low:.1f} to {high:.1f}), {one.count} of {one.total}"


def _kappa_cells(found: Kappa | None) -> list[str]:
    if found is None:
        return ["0", "-", "-", "-"]
    cells = [str(found.pairs), f"{100 * found.observed:.1f} %"]
    if found.interval is None:
        return [*cells, "-", "-"]
    low, high = found.interval
    return [*cells, f"{number(found.kappa)} ({low:.3f} to {high:.3f})", number(found.error)]


def _pairs(outcomes: OutcomeFigures) -> str:
    if not outcomes.pairs:
        return ""
    rows = [
        [
            html.escape(pair.case),
            html.escape(pair.previous),
            f"{pair.po_change:+.2f}",
            pair.found,
            pair.radiologist,
        ]
        for pair in outcomes.pairs
    ]
    return table(["case", "since", "change of PO, points", "found", "radiologist"], rows)


def radiomics_section(cases: Mapping[str, FeatureErrors] | None) -> str:
    """Errors of every feature; a sentence where nobody asked."""
    if cases is None:
        return (
            "<p>Not measured: ask with <code>--radiomics</code>, which needs the extra "
            f"<code>radiomics</code> ({LIBRARY}).</p>"
        )
    rows = [
        [
            f"{'first order' if name in FIRST_ORDER else 'shape'}: {name}",
            str(one.cases),
            *(number(value, 2) for value in (one.mean, one.mean_absolute, one.worst)),
        ]
        for name, one in over_cases(cases.values()).items()
    ]
    caption = f"Found lesion against the labelled one, by {LIBRARY}"
    return f'<div class="wide">{table(_FEATURE_HEADS, rows, caption)}</div>'
