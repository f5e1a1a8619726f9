"""The course of a patient as a plot."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure

_DPI = 110
_PO_COLOUR, _PHO_COLOUR, _IHU_COLOUR = "#d95f02", "#7570b3", "#1b9e77"
_MARKERS = {"thin": "o", "medium": "s", "thick": "D"}
#: Zero and a little above show even where nothing is.
_LEAST_TOP = 1.0


@dataclass(frozen=True, slots=True)
class CoursePlotPoint:
    """One scan: when it was taken, PO and PHO in percent, iHU in HU (None without lesion)."""

    acquired: datetime
    po: float
    pho: float
    ihu: float | None
    section: str


def course_plot(points: Sequence[CoursePlotPoint], title: str) -> bytes:
    """PNG: PO and PHO over time, and below them the mean HU of the lesion.

    Parameters
    ----------
    points
        The first acquired first; none make an empty plot that says so.
    """
    figure = Figure(figsize=(7.0, 5.2), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    _line(upper, points, [one.po for one in points], _PO_COLOUR, "PO")
    _line(upper, points, [one.pho for one in points], _PHO_COLOUR, "PHO")
    dense = [one for one in points if one.ihu is not None]
    _line(lower, dense, [one.ihu or 0.0 for one in dense], _IHU_COLOUR, "iHU")
    top = max([_LEAST_TOP, *(1.1 * one.po for one in points)])
    upper.set(ylim=(0, top), ylabel="% of lung", title=title)
    lower.set(ylabel="mean HU of the lesion", xlabel="acquired")
    for axes in (upper, lower):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#dddddd", lw=0.6)
    _dates(lower, points)
    if points:
        for section in dict.fromkeys(one.section for one in points):
            upper.plot(
                [], [], _MARKERS.get(section, "o"), color="#777777", label=f"{section} slices"
            )
        upper.legend(frameon=False, loc="best")
    else:
        upper.text(0.5, 0.5, "no scan with a score", ha="center", transform=upper.transAxes)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=_DPI)
    return file.getvalue()


def _line(
    axes: Axes, points: Sequence[CoursePlotPoint], values: Sequence[float], colour: str, name: str
) -> None:
    """A line over all sections, its markers by section."""
    moments = [float(date2num(one.acquired)) for one in points]
    axes.plot(moments, values, color=colour, lw=1.4, label=name)
    for one, when, value in zip(points, moments, values, strict=True):
        axes.plot([when], [value], _MARKERS.get(one.section, "o"), color=colour, ms=6)


def _dates(axes: Axes, points: Sequence[CoursePlotPoint]) -> None:
    if not points:
        axes.set_xticks([])
        return
    locator = AutoDateLocator(minticks=2, maxticks=8)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
