"""Shapes as signed distances on a coarse grid, cut into smooth planes at any height.

Coordinates are (z, y, x) in mm: z grows to the head, y to the back, x to the
patient's left. Distances are negative inside. They are exact near the surface
of spheres only; elsewhere they are good to a few percent, which is all an edge
one millimetre wide needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

Array = npt.NDArray[np.float32]
Distances = npt.NDArray[np.floating[Any]]
Coordinates = tuple[Array, Array, Array]


@dataclass(frozen=True)
class Grid:
    """A box of points: first point and spacing in mm, shape; each (z, y, x)."""

    origin: tuple[float, float, float]
    step: float
    shape: tuple[int, int, int]

    @classmethod
    def over(cls, low: Sequence[float], high: Sequence[float], step: float) -> Grid:
        """The grid whose first point is `low` and that reaches at least to `high`."""
        shape = tuple(int(np.ceil((b - a) / step)) + 1 for a, b in zip(low, high, strict=True))
        return cls((low[0], low[1], low[2]), step, (shape[0], shape[1], shape[2]))

    def axis(self, index: int) -> Array:
        """Coordinates along one axis, mm."""
        points = self.origin[index] + self.step * np.arange(self.shape[index])
        return points.astype(np.float32)

    @cached_property
    def coordinates(self) -> Coordinates:
        """z, y and x, shaped to broadcast over the grid."""
        return (
            self.axis(0)[:, None, None],
            self.axis(1)[None, :, None],
            self.axis(2)[None, None, :],
        )


@dataclass(frozen=True)
class Neighbours:
    """Where targets lie between evenly spaced sources; beyond the ends they are clamped.

    Parameters
    ----------
    left
        Index of the source before each target.
    weight
        Share of the source after it, 0 to 1.
    count
        Number of sources.
    """

    left: npt.NDArray[np.intp]
    weight: Array
    count: int

    @classmethod
    def of(cls, source: Array, target: Array) -> Neighbours:
        """Neighbours of `target` coordinates among `source` coordinates."""
        place = np.clip((target - source[0]) / (source[1] - source[0]), 0, len(source) - 1)
        left = np.minimum(place.astype(np.intp), len(source) - 2)
        return cls(left, (place - left).astype(np.float32), len(source))

    @property
    def nearest(self) -> npt.NDArray[np.intp]:
        return self.left + (self.weight > 0.5)

    def rows_of(self, plane: Array) -> Array:
        """`plane` interpolated along its first axis."""
        before = plane[self.left]
        before += self.weight[:, None] * (plane[self.left + 1] - before)
        return before


def interpolation(source: Array, target: Array) -> Array:
    """Matrix, shape (target, source), that interpolates linearly and clamps at the ends."""
    near = Neighbours.of(source, target)
    matrix = np.zeros((len(target), len(source)), np.float32)
    rows = np.arange(len(target))
    matrix[rows, near.left] = 1 - near.weight
    matrix[rows, near.left + 1] += near.weight
    return matrix


def between(volume: npt.NDArray[np.generic], grid: Grid, z: float) -> Array:
    """The plane of `volume` at height `z`, interpolated linearly, clamped at the ends."""
    place = min(max((z - grid.origin[0]) / grid.step, 0.0), grid.shape[0] - 1.0)
    low = min(int(place), grid.shape[0] - 2)
    weight = np.float32(place - low)
    below, above = volume[low].astype(np.float32), volume[low + 1].astype(np.float32)
    return np.asarray(below + weight * (above - below), np.float32)


def ellipsoid(
    at: Coordinates,
    centre: Sequence[float],
    radii: Sequence[float] | npt.NDArray[np.float64],
    power: float = 2.0,
) -> Array:
    """Signed distance to an ellipsoid, or with power > 2 to a box with round edges."""
    scaled = [np.abs(a - c) / r for a, c, r in zip(at, centre, radii, strict=True)]
    reach = sum(s**power for s in scaled) ** (1 / power)
    return np.asarray((reach - 1) * min(radii), np.float32)


def column(
    at: Coordinates,
    centre: tuple[Array | float, Array | float],
    radii: tuple[Array | float, Array | float],
    power: float = 2.0,
) -> Array:
    """Signed distance to a column along z; centre and radii are (y, x) and may vary with z."""
    y = np.abs(at[1] - centre[0]) / radii[0]
    x = np.abs(at[2] - centre[1]) / radii[1]
    reach = (y**power + x**power) ** (1 / power)
    return np.asarray((reach - 1) * np.minimum(radii[0], radii[1]), np.float32)


def union(*parts: Distances) -> Array:
    """Signed distance to what lies in any part."""
    return np.asarray(reduce(np.minimum, parts), np.float32)


def common(*parts: Distances) -> Array:
    """Signed distance to what lies in all parts."""
    return np.asarray(reduce(np.maximum, parts), np.float32)


def rounded(distance: Array, grid: Grid, millimetres: float) -> Array:
    """The same shape with edges and corners smoothed over `millimetres`."""
    return np.asarray(gaussian_filter(distance, millimetres / grid.step), np.float32)


def random_field(rng: np.random.Generator, grid: Grid, millimetres: float) -> Array:
    """Smooth noise over the grid: mean 0, standard deviation 1, grains of `millimetres`."""
    noise = gaussian_filter(
        rng.standard_normal(grid.shape, np.float32), millimetres / grid.step, mode="wrap"
    )
    return np.asarray((noise - noise.mean()) / noise.std(), np.float32)
