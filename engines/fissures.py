"""Borders of lobes moved onto the fissures that a lobes model saw.

A lobes model of this project divides the lungs by their shape first; where it sees a
fissure it says so, and the border between the lobes is moved there. Fissures run across
a lung like floors, so a border is a height over the plane of rows and columns. Around
it, evidence is laid flat: layers above and below the border, smoothed along them, in
which a fissure is a bright floor and a vessel a spot. The brightest layer near the
border wins, coarse to fine, and by no more than the evidence for it carries (as in
Wang et al. 2006, IEEE TMI 25:1088, who search fissures near a fitted surface).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from engines.region import Mask, Places, Volume

#: Over rows and columns.
Plane = npt.NDArray[np.float32]

#: Evidence below this everywhere: the model sees no fissures, or does not look for them.
_LEAST_EVIDENCE = 0.005
#: Rounds of the search: smoothing along the border and reach across it, voxels.
_ROUNDS = ((6.0, 9.0), (4.0, 5.5), (2.5, 3.5))
#: Distance between layers, and smoothing across them, voxels.
_LAYER, _BLUR = 0.5, 0.7
#: What a fissure three voxels away must show more.
_NEARNESS = 0.02
#: How much more a fissure shows than the layers around it, before it is followed at all.
_FAINTEST = 0.05
#: Evidence beyond the faintest at which half of a move is made.
_DOUBT = 0.005
#: How much the layer that shows most is preferred to others.
_CERTAINTY = 80
#: A border moves where its layers show so many times what those around it show, up to so many
#: voxels away.
_OUTSTANDING, _AROUND = 2.75, 9
#: The search looks at one of so many rows, and columns.
_CELL = 2
#: Of the polynomial that carries a border on to where it was not found.
_DEGREE = 4
_STIFFNESS = 1e-3
#: Share of a lung's own two parts below which their ratio means nothing.
_LITTLE = 0.05


@dataclass(frozen=True)
class _Border:
    """A border between lobes, as indices of maps: those above it and below."""

    above: tuple[int, ...]
    below: tuple[int, ...]


_RIGHT_OBLIQUE = _Border((0, 1), (2,))
_HORIZONTAL = _Border((0,), (1,))
_LEFT_OBLIQUE = _Border((3,), (4,))


def follow_fissures(maps: Volume, lung: Mask) -> Volume:
    """Probabilities of the lobes, their borders on the fissures.

    Parameters
    ----------
    maps
        Shape (5, planes, rows, columns), foot to head: probabilities of the lobes as
        :data:`engines.parts.LOBE_NAMES` counts. What they lack to one is the
        probability that a fissure passes through the voxel.
    lung
        Shape of a map.

    Returns
    -------
    Shape of `maps`, the sum of which is one; `maps` where there is no evidence.
    """
    total = maps.sum(axis=0)
    evidence = np.where(lung, 1 - total, np.float32(0))
    if evidence.max() < _LEAST_EVIDENCE:
        return maps
    lobes: Volume = maps / np.maximum(total, np.float32(1e-9))
    right, left = lobes[:3].sum(axis=0), lobes[3:].sum(axis=0)
    _follow_right(lobes, right, lung & (right > left), evidence)
    _follow_left(lobes, left, lung & (right < left), evidence)
    return lobes


def _follow_right(lobes: Volume, side: Volume, lung: Mask, evidence: Volume) -> None:
    """Move the borders of a right lung, in place; `side` is the sum of its lobes."""
    if not lung.any():
        return
    box = _columns(lung)
    part, side, lung = lobes[:, *box], side[box], lung[box]
    low = _moved(_RIGHT_OBLIQUE, part, lung, evidence[box] * lung)
    middle = _moved(_HORIZONTAL, part, lung, evidence[box] * lung)
    high = side * (1 - low)
    part[0], part[1], part[2] = high * (1 - middle), high * middle, side * low


def _follow_left(lobes: Volume, side: Volume, lung: Mask, evidence: Volume) -> None:
    """Move the border of a left lung, in place; `side` is the sum of its lobes."""
    if not lung.any():
        return
    box = _columns(lung)
    part, side, lung = lobes[:, *box], side[box], lung[box]
    low = _moved(_LEFT_OBLIQUE, part, lung, evidence[box] * lung)
    part[3], part[4] = side * (1 - low), side * low


def _columns(lung: Mask) -> tuple[slice, slice, slice]:
    """All planes and rows, and the columns that hold a lung."""
    found = np.flatnonzero(lung.any(axis=(0, 1)))
    return slice(None), slice(None), slice(int(found[0]), int(found[-1]) + 1)


def _moved(border: _Border, lobes: Volume, lung: Mask, evidence: Volume) -> Volume:
    """Share of what lies below a border, after it was moved; shape of a map."""
    below = lobes[list(border.below)].sum(axis=0)
    both = below + lobes[list(border.above)].sum(axis=0)
    share = below / np.maximum(both, np.float32(1e-6))
    crossings = _crossings(share, lung & (both > 0.5))
    if len(crossings) < _DEGREE**3:
        return np.asarray(share, np.float32)
    heights = _fitted(crossings, share.shape[1:])
    planes = np.arange(len(share), dtype=np.float32)[:, None, None]
    share = np.where(both > _LITTLE, share, np.clip(heights - planes + 0.5, 0, 1))
    found = np.zeros(share.shape[1:], np.float32)
    found[tuple(crossings[:, 1:].astype(np.intp).T)] = 1
    return _at(share, planes - _search(evidence, heights, found))


def _crossings(share: Volume, inside: Mask) -> npt.NDArray[np.float64]:
    """Where a column goes from below to above: (height, row, column), shape (n, 3)."""
    crosses = (share[:-1] > 0.5) & (share[1:] <= 0.5) & inside[:-1] & inside[1:]
    plane, row, column = np.nonzero(crosses)
    under, over = share[plane, row, column], share[plane + 1, row, column]
    return np.stack([plane + (under - 0.5) / (under - over), row, column], axis=1)


def _fitted(crossings: npt.NDArray[np.float64], shape: tuple[int, ...]) -> Plane:
    """A smooth surface through most of the crossings, over rows and columns."""
    low, high = crossings[:, 1:].min(axis=0), crossings[:, 1:].max(axis=0)

    def terms(row: Places, column: Places) -> npt.NDArray[np.float64]:
        y, x = (
            np.clip(2 * (place - first) / max(last - first, 1) - 1, -1.15, 1.15)
            for place, first, last in zip((row, column), low, high, strict=True)
        )
        powers = [(i, j) for i in range(_DEGREE + 1) for j in range(_DEGREE + 1 - i)]
        return np.stack([y**i * x**j for i, j in powers], axis=-1)

    basis = terms(crossings[:, 1], crossings[:, 2])
    weights, factors = np.ones(len(basis)), np.zeros(basis.shape[1])
    for _ in range(4):
        weighted = basis * weights[:, None]
        ridge = _STIFFNESS * len(basis) * np.eye(basis.shape[1])
        normal = weighted.T @ basis + ridge
        factors = np.asarray(np.linalg.solve(normal, weighted.T @ crossings[:, 0]))
        weights = 1 / (1 + ((crossings[:, 0] - basis @ factors) / 2) ** 2)
    rows, columns = np.meshgrid(*(np.arange(float(size)) for size in shape), indexing="ij")
    return np.asarray(terms(rows, columns) @ factors, np.float32)


def _search(evidence: Volume, heights: Plane, found: Plane) -> Plane:
    """How far a border is to move up, voxels, over rows and columns."""
    rows, columns = heights.shape
    evidence, heights = evidence[:, ::_CELL, ::_CELL], heights[::_CELL, ::_CELL]
    moves, present = np.zeros_like(heights), found[::_CELL, ::_CELL]
    for spread, reach in _ROUNDS:
        layers = np.arange(-reach, reach + _LAYER / 2, _LAYER, dtype=np.float32)
        near = spread / _CELL
        share = gaussian_filter(present, near)
        flat = _at(evidence, heights + moves + layers[:, None, None])
        shown = gaussian_filter(flat * present, (_BLUR / _LAYER, near, near))
        shown /= np.maximum(share, 0.02)
        score = shown - _NEARNESS * (layers[:, None, None] / 3) ** 2
        odds = np.exp(_CERTAINTY * (score - score.max(axis=0)))
        best = (odds * layers[:, None, None]).sum(axis=0) / odds.sum(axis=0)
        trust = present * np.clip(shown.max(axis=0) - np.median(shown, axis=0) - _FAINTEST, 0, None)
        total = gaussian_filter(trust, near) + _DOUBT * share + 1e-6
        moves += gaussian_filter(best * trust, near) / total
    layers = np.arange(-_AROUND, _AROUND + 1, dtype=np.float32)
    flat = _at(evidence, heights + moves + layers[:, None, None])
    shown = (flat * present).sum(axis=(1, 2))
    if shown[_AROUND - 1 : _AROUND + 2].mean() < _OUTSTANDING * np.median(shown):
        moves[:] = 0
    return moves.repeat(_CELL, axis=0)[:rows].repeat(_CELL, axis=1)[:, :columns]


def _at(volume: Volume, heights: Volume) -> Volume:
    """A volume at heights over its rows and columns, shape (n, rows, columns), linearly.

    Below and above the volume is what its first and its last plane hold.
    """
    last, size = len(volume) - 1, volume[0].size
    heights = np.clip(heights, 0, last)
    under = np.minimum(heights.astype(np.int32), last - 1)
    share = heights - under
    where = under * np.int32(size) + np.arange(size, dtype=np.int32).reshape(volume.shape[1:])
    flat = np.ascontiguousarray(volume).ravel()
    lower, upper = flat.take(where), flat.take(where + np.int32(size))
    return np.asarray(lower + share * (upper - lower), np.float32)
