"""The plots of an evaluation as PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from calibration.evaluation.agreement import agreement
from calibration.evaluation.discrimination import roc
from calibration.evaluation.figures import CaseFigures
from calibration.evaluation.outcomes import OutcomeFigures

_COLOURS = {"thin": "#1f77b4", "medium": "#9467bd", "thick": "#d95f02"}
_GREY = "#777777"
_SCORES = {"po": "PO", "ihu": "iHU"}
_ROC_COLOURS = ("#d95f02", "#1b9e77")
_DPI = 110
#: So many cases with the largest errors are named in a plot.
_NAMED = 4

#: Name of a case, its section, its score and the reference, percent.
Point = tuple[str, str, float, float]


def points(figures: Sequence[CaseFigures], score: str) -> list[Point]:
    """What can be plotted of "po" or "pho"."""
    found = [
        (one.case, one.section, getattr(one, score), getattr(one, f"{score}_reference"))
        for one in figures
    ]
    return [point for point in found if None not in point]


def against_reference(cases: Sequence[Point], title: str) -> bytes:
    """The score over its reference, with the regression of the reference on the score."""
    figure, axes = _axes()
    top = 1.08 * max([1e-3, *(max(found, reference) for *_, found, reference in cases)])
    axes.plot([0, top], [0, top], color=_GREY, lw=0.8, ls="--", label="equal")
    line = agreement([point[2:] for point in cases]).regression
    if line:
        span = np.array([0.0, top])
        label = f"reference = {line.intercept:.2f} + {line.slope:.2f} found, r² {line.r2:.3f}"
        axes.plot(line.intercept + line.slope * span, span, color="black", lw=1, label=label)
    _scatter(axes, [(name, section, true, found) for name, section, found, true in cases], cases)
    axes.set(xlim=(0, top), ylim=(0, top), title=title)
    axes.set(xlabel="reference, % of lung", ylabel="found, % of lung")
    return _png(figure)


def bland_altman(cases: Sequence[Point], title: str) -> bytes:
    """Difference over mean, with bias and limits of agreement."""
    figure, axes = _axes()
    axes.axhline(0, color=_GREY, lw=0.8, ls="--")
    limits = agreement([point[2:] for point in cases]).bland_altman
    if limits:
        axes.axhline(limits.bias, color="black", lw=1, label=f"bias {limits.bias:+.2f}")
        between = f"95 % between {limits.lower:+.2f} and {limits.upper:+.2f}"
        axes.axhline(limits.lower, color="black", lw=0.8, ls=":", label=between)
        axes.axhline(limits.upper, color="black", lw=0.8, ls=":")
    _scatter(
        axes,
        [(name, section, (found + true) / 2, found - true) for name, section, found, true in cases],
        cases,
    )
    axes.set(xlabel="mean of found and reference, % of lung", ylabel="found - reference, points")
    axes.set(title=title)
    return _png(figure)


def dice_bars(figures: Sequence[CaseFigures]) -> bytes:
    """Dice of lesion and lung, a pair of bars a case."""
    figure, axes = _axes(width=max(6.0, 0.75 * len(figures) + 2.5))
    places = np.arange(len(figures))
    bars = (("lesion", -0.2, "#d95f02"), ("lung", 0.2, "#9ecae1"))
    for region, shift, colour in bars:
        values = [getattr(one, region).dice for one in figures]
        heights = [0.0 if value is None else value for value in values]
        axes.bar(places + shift, heights, 0.38, color=colour, label=region)
        for place, value in zip(places, values, strict=True):
            text = "-" if value is None else f"{value:.2f}"
            axes.text(place + shift, (value or 0) + 0.01, text, ha="center", fontsize=7)
    names = [one.case for one in figures]
    axes.set_xticks(places, names, rotation=40, ha="right", parse_math=False)
    axes.set(ylim=(0, 1.12), ylabel="Dice", title="Dice, case by case")
    axes.legend(loc="lower right", fontsize=8)
    return _png(figure)


def roc_curves(outcomes: OutcomeFigures) -> bytes:
    """Sensitivity over 1 - specificity of every score that has an area, its best cut marked."""
    figure, axes = _axes()
    axes.plot([0, 1], [0, 1], color=_GREY, lw=0.8, ls="--")
    for (score, found), colour in zip(outcomes.severity.items(), _ROC_COLOURS, strict=True):
        if found is None:
            continue
        parts = [
            np.array([value for value, severe in outcomes.scored[score] if severe == kind])
            for kind in (True, False)
        ]
        _, sensitivity, false_positive = roc(*parts)
        label = f"{_SCORES[score]}, AUC {found.auc:.3f}"
        axes.plot(false_positive, sensitivity, color=colour, lw=1.4, label=label)
        if found.cut:
            best = (1 - found.cut.specificity.share, found.cut.sensitivity.share)
            axes.plot(*best, "o", color=colour, ms=6)
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", title="Severe disease by score")
    axes.legend(loc="lower right", fontsize=8, frameon=False)
    return _png(figure)


def _scatter(axes: Axes, places: Sequence[Point], cases: Sequence[Point]) -> None:
    """Cases at their places, coloured by section, the largest errors of `cases` by name."""
    for section, colour in _COLOURS.items():
        chosen = [(x, y) for _, of, x, y in places if of == section]
        if chosen:
            x, y = zip(*chosen, strict=True)
            axes.scatter(x, y, color=colour, s=28, label=section, zorder=3)
    errors = [abs(found - true) for *_, found, true in cases]
    for index in np.argsort(errors)[::-1][:_NAMED]:
        name, _, x, y = places[index]
        text = axes.annotate(name, (x, y), (5, 4), textcoords="offset points", fontsize=7)
        text.set(color=_GREY, parse_math=False)
    if axes.get_legend_handles_labels()[0]:
        below = (0.0, -0.14)
        axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=below, ncols=2, frameon=False)


def _axes(width: float = 5.4) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, 4.6), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=_DPI)
    return file.getvalue()
