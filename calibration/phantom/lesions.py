"""Ground glass and consolidation: patches near the pleura, more at the back and below."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calibration.phantom.painter import Painter
from calibration.phantom.scene import Solid, mix
from calibration.phantom.shapes import Array, Grid, ellipsoid, random_field

_MOST_PATCHES = 60


@dataclass(frozen=True)
class Opacities:
    """Where lung is denser than it should be, and how dense.

    Parameters
    ----------
    lesion, consolidation
        The diseased region and its airless part.
    shade
        Coarse noise that makes ground glass uneven; standard deviation 1.
    glass_hu, solid_hu
        Attenuation of ground glass and of consolidation.
    """

    lesion: Solid
    consolidation: Solid
    shade: Array
    glass_hu: float
    solid_hu: float

    def paint(self, tissue: Array, lesion: Array, consolidation: Array, z: float) -> None:
        """Paint into `tissue` and fill the two shares (work plane, in place)."""
        region = self.lesion.coverage(z)
        if region is None:
            return
        box = self.lesion.box
        glass = self.glass_hu + 55 * self.lesion.spread(self.shade, z)
        mix(tissue[box], region, np.maximum(glass, tissue[box] + 90))
        lesion[box] = region
        airless = self.consolidation.coverage(z)
        if airless is not None:
            inner = self.consolidation.box
            mix(tissue[inner], airless, self.solid_hu)
            consolidation[inner] = airless
            np.maximum(lesion, consolidation, out=lesion)


def place_opacities(
    rng: np.random.Generator, lung: Array, paint: Painter, load: float
) -> Opacities:
    """Opacities that cover about the share `load` of the lung."""
    grid = paint.grid
    inside = lung < 0
    odds = np.cumsum(_preference(rng, lung, grid), dtype=np.float64)
    ragged = rng.uniform(2, 5) * random_field(rng, grid, 5) + 2 * random_field(rng, grid, 2.5)
    region = np.full(grid.shape, 40, np.float32)
    largest = 10 + 55 * np.sqrt(load)
    for _ in range(_MOST_PATCHES):
        patch = _patch(rng, odds, grid, rng.uniform(0.35, 1.0) * largest)
        region = np.minimum(region, patch)
        covered = ((region + ragged < 0) & inside).sum() / inside.sum()
        if covered >= load:
            break
    region = region + ragged
    depth = rng.uniform(4, 16)
    dense = region + depth + rng.uniform(3, 8) * random_field(rng, grid, 7)
    lesion = paint.solid(region, edge=rng.uniform(2, 7))
    shade = random_field(rng, grid, 6)
    solid = paint.solid(dense, edge=rng.uniform(2, 6))
    return Opacities(lesion, solid, shade, rng.uniform(-680, -470), rng.uniform(-60, 45))


def _preference(rng: np.random.Generator, lung: Array, grid: Grid) -> Array:
    """Likelihood of a patch in each point: near the pleura, at the back, in the lower half."""
    z, y, _ = grid.coordinates
    pleura = np.exp(np.minimum(lung, 0) / rng.uniform(8, 30))
    back = np.exp(y / rng.uniform(40, 120))
    low = np.exp(-z / rng.uniform(120, 400))
    weight = np.where(lung < 0, pleura * back * low, 0)
    return np.asarray(weight / weight.sum(), np.float32)


def _patch(
    rng: np.random.Generator, odds: npt.NDArray[np.float64], grid: Grid, radius: float
) -> Array:
    """An ellipsoid of up to `radius` somewhere, by the cumulated odds of the grid's points."""
    place = int(np.searchsorted(odds, rng.uniform(0, odds[-1])))
    cell = np.unravel_index(min(place, odds.size - 1), grid.shape)
    centre = [o + grid.step * int(c) for o, c in zip(grid.origin, cell, strict=True)]
    radii = radius * rng.uniform(0.5, 1.0, 3)
    return ellipsoid(grid.coordinates, centre, [max(float(r), 4.0) for r in radii])
