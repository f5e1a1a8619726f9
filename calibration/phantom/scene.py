"""A body as a stack of painted solids, and what one plane through it shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from calibration.phantom.shapes import Array, Grid, between, interpolation
from calibration.phantom.tubes import FULL, Tubes, draw

#: Spacing of the planes on which tissue is mixed, mm; about a scanner's own resolution.
WORK_STEP = 1.0
AIR_HU = -1000.0


@dataclass(frozen=True)
class Truth:
    """Share of lung, ground glass or denser, and consolidation in every point, 0 to 1."""

    lung: Array
    lesion: Array
    consolidation: Array


@dataclass(frozen=True)
class Section:
    """One plane: HU and truth on the scene's work plane; truth is None where there is no lung."""

    hu: Array
    truth: Truth | None


class Part(Protocol):
    """Anything that paints itself into a plane."""

    def paint(self, plane: Array, z: float) -> None: ...


class LungPart(Protocol):
    """Lungs: painted last, and the only part with a truth."""

    def paint(self, plane: Array, z: float) -> Truth: ...

    def lobes(self, z: float) -> npt.NDArray[np.uint8]: ...


class Solid:
    """A shape given by signed distances on a coarse grid.

    Parameters
    ----------
    distance
        Signed distance in mm, shape of `grid`, negative inside.
    grid
        Where the distances lie.
    rows, columns
        y and x of the work plane, mm.
    hu
        Attenuation, or a function of z that gives the plane of it.
    edge
        Width over which the surface fades, mm.
    """

    def __init__(
        self,
        distance: Array,
        grid: Grid,
        rows: Array,
        columns: Array,
        hu: float = 0.0,
        edge: float = 1.2,
    ) -> None:
        self.distance, self.grid, self.hu, self.edge = distance, grid, hu, edge
        near = distance < 1.5 * grid.step
        flat = np.asarray(near.any(axis=0))
        self._z = _span(near.reshape(len(near), -1).any(axis=1), grid, 0)
        y, x = _span(flat.any(axis=1), grid, 1), _span(flat.any(axis=0), grid, 2)
        self.box = (_cells(rows, y), _cells(columns, x))
        self._rows = interpolation(grid.axis(1), rows[self.box[0]])
        self._columns = interpolation(grid.axis(2), columns[self.box[1]]).T

    def spread(self, volume: Array, z: float) -> Array:
        """Any volume on this solid's grid, interpolated over the box at height `z`."""
        return np.asarray(self._rows @ between(volume, self.grid, z) @ self._columns, np.float32)

    def coverage(self, z: float) -> Array | None:
        """Share of each point in the box, 0 to 1; None where the solid is absent."""
        if not self._z[0] <= z <= self._z[1]:
            return None
        share = np.float32(0.5) - self.spread(self.distance, z) / np.float32(self.edge)
        return np.asarray(np.clip(share, 0, 1), np.float32)

    def paint(self, plane: Array, z: float) -> None:
        coverage = self.coverage(z)
        if coverage is not None:
            mix(plane[self.box], coverage, self.hu)


class Pipes:
    """Tubes drawn on the work plane's own points."""

    def __init__(self, tubes: Tubes, rows: Array, columns: Array, hu: float) -> None:
        reach = float(tubes.radii.max()) + 2 * WORK_STEP
        low, high = tubes.centres.min(axis=0) - reach, tubes.centres.max(axis=0) + reach
        self.hu = hu
        self.box = (
            _cells(rows, (float(low[1]), float(high[1]))),
            _cells(columns, (float(low[2]), float(high[2]))),
        )
        y, x = rows[self.box[0]], columns[self.box[1]]
        depth = int(np.ceil((high[0] - low[0]) / WORK_STEP)) + 1
        self.grid = Grid(
            (float(low[0]), float(y[0]), float(x[0])), WORK_STEP, (depth, len(y), len(x))
        )
        self.volume = draw(tubes, self.grid)

    def coverage(self, z: float) -> Array | None:
        """Share of each point in the box, 0 to 1; None where there are no tubes."""
        if not self.grid.origin[0] <= z <= self.grid.origin[0] + self.grid.shape[0] * WORK_STEP:
            return None
        return between(self.volume, self.grid, z) / np.float32(FULL)

    def paint(self, plane: Array, z: float) -> None:
        coverage = self.coverage(z)
        if coverage is not None:
            mix(plane[self.box], coverage, self.hu)


@dataclass
class Scene:
    """A body to be scanned.

    Parameters
    ----------
    rows, columns
        y and x of the work plane in mm, :data:`WORK_STEP` apart.
    bottom, top
        What a scan of this body covers, mm.
    parts
        Painted in this order; a later part covers an earlier one.
    lungs
        Painted after all parts; None where there are none.
    """

    rows: Array
    columns: Array
    bottom: float
    top: float
    parts: list[Part] = field(default_factory=list)
    lungs: LungPart | None = None

    def section(self, z: float) -> Section:
        """What the plane at height `z` shows."""
        plane = np.full((len(self.rows), len(self.columns)), AIR_HU, np.float32)
        for part in self.parts:
            part.paint(plane, z)
        return Section(plane, self.lungs.paint(plane, z) if self.lungs else None)


def mix(plane: Array, coverage: Array, hu: float | Array) -> None:
    """Replace the share `coverage` of `plane` by `hu`, in place."""
    plane += coverage * (hu - plane)


def work_axis(half: float) -> Array:
    """Coordinates from -half to half, :data:`WORK_STEP` apart."""
    return np.arange(-half, half + WORK_STEP, WORK_STEP, dtype=np.float32)


def _span(touched: npt.NDArray[np.bool_] | np.bool_, grid: Grid, axis: int) -> tuple[float, float]:
    found = np.flatnonzero(touched)
    if len(found) == 0:
        return (0.0, 0.0)
    points = grid.axis(axis)
    last = min(int(found[-1]) + 1, len(points) - 1)
    return (float(points[max(int(found[0]) - 1, 0)]), float(points[last]))


def _cells(points: Array, span: tuple[float, float]) -> slice:
    first, last = np.searchsorted(points, [span[0], span[1]])
    return slice(int(first), int(max(last, first + 2)))
