"""A slice in the lung window with the outlines of what was found and what was labelled."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from calibration.evaluation.measures import Mask
from calibration.evaluation.worst import WrongSlice

#: Reading window of lung: width 1500, level -600 HU.
_WINDOW_HU = (-1350.0, 150.0)
FOUND_COLOUR = "#ff8c1a"
LABEL_COLOUR = "#35d0ff"
_LUNG_ALPHA = 0.45
_MARGIN = 12
_DPI = 110
_QUALITY = 88


def contour_picture(one: WrongSlice) -> bytes:
    """JPEG of the part of the slice that holds lung, twice: plain, and with the outlines."""
    rows, columns = _around(one)
    hu = one.hu[rows, columns]
    aspect = one.pixel_mm[0] / one.pixel_mm[1]
    height = 4.0 * hu.shape[0] * aspect / hu.shape[1]
    figure = Figure(figsize=(8.0, height), facecolor="black")
    for place, axes in enumerate(figure.subplots(1, 2, gridspec_kw={"wspace": 0.01})):
        axes.imshow(hu, cmap="gray", vmin=_WINDOW_HU[0], vmax=_WINDOW_HU[1], aspect=aspect)
        axes.set_axis_off()
        if place:
            _outline(axes, one.found_lung[rows, columns], FOUND_COLOUR, 0.6, _LUNG_ALPHA)
            if one.lung is not None:
                _outline(axes, one.lung[rows, columns], LABEL_COLOUR, 0.6, _LUNG_ALPHA)
            _outline(axes, one.lesion[rows, columns], LABEL_COLOUR, 1.3)
            _outline(axes, one.found_lesion[rows, columns], FOUND_COLOUR, 1.3)
    figure.subplots_adjust(0, 0, 1, 1)
    file = io.BytesIO()
    figure.savefig(file, format="jpeg", dpi=_DPI, pil_kwargs={"quality": _QUALITY})
    return file.getvalue()


def _outline(axes: Axes, mask: Mask, colour: str, width: float, alpha: float = 1.0) -> None:
    """Along the edge of the mask; one pixel of frame, so that a mask at the border has one too."""
    if not mask.any():
        return
    framed = np.pad(mask.astype(np.float32), 1)
    y, x = (np.arange(-1, size - 1) for size in framed.shape)
    axes.contour(x, y, framed, [0.5], colors=colour, linewidths=width, alpha=alpha)


def _around(one: WrongSlice) -> tuple[slice, slice]:
    """The part of the slice that holds any mask, with a margin."""
    anything = one.found_lung | one.lesion | one.found_lesion
    if one.lung is not None:
        anything = anything | one.lung
    bounds = []
    for axis, size in zip((1, 0), anything.shape, strict=True):
        places = np.flatnonzero(anything.any(axis=axis))
        bounds.append(
            slice(max(0, int(places[0]) - _MARGIN), min(size, int(places[-1]) + 1 + _MARGIN))
        )
    return bounds[0], bounds[1]
