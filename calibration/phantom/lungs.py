"""Two lungs of five lobes: parenchyma, fissures, vessels, airways, and their disease."""

from __future__ import annotations

import enum

import numpy as np
import numpy.typing as npt

from calibration.phantom.lesions import Opacities, place_opacities
from calibration.phantom.painter import Painter
from calibration.phantom.scene import Truth, mix
from calibration.phantom.shapes import Array, Grid, interpolation, random_field
from calibration.phantom.thorax import Thorax
from calibration.phantom.tubes import Tubes, joined, line, tree

_FISSURE_HU = 90.0


class Lobe(enum.IntEnum):
    """Values of :attr:`Phantom.lobes`."""

    NONE = 0
    LEFT_UPPER = 1
    LEFT_LOWER = 2
    RIGHT_UPPER = 3
    RIGHT_MIDDLE = 4
    RIGHT_LOWER = 5


class Lungs:
    """Paints the lungs into a plane and knows the truth about them.

    Parameters
    ----------
    thorax
        The chest they lie in.
    paint
        Its scene and grid.
    rng
        Draws fissures, trees and disease.
    load
        Share of lung that is diseased, 0 to 1, about.
    """

    def __init__(
        self, thorax: Thorax, paint: Painter, rng: np.random.Generator, load: float
    ) -> None:
        self._build, self._anatomy, self._scene = thorax.build, thorax, paint.scene
        grid = thorax.grid
        self._lung = paint.solid(thorax.lung)
        self._grain = random_field(rng, grid, 3.0)
        self._oblique, self._horizontal = self._fissures(rng, grid)
        vessels, lumen, walls = self._trees(rng)
        self._pipes = [
            paint.pipes(vessels, max(40.0, 0.8 * self._build.blood)),
            paint.pipes(walls, -60),
            paint.pipes(lumen, -975),
        ]
        self._opacities: Opacities | None = None
        if load > 0:
            self._opacities = place_opacities(rng, thorax.lung, paint, load)

    def paint(self, plane: Array, z: float) -> Truth:
        """Paint the lungs at height z into `plane`; the shares of lung and disease there."""
        lung, lesion, consolidation = (np.zeros_like(plane) for _ in range(3))
        coverage = self._lung.coverage(z)
        if coverage is not None:
            lung[self._lung.box] = coverage
            tissue = np.zeros_like(plane)
            tissue[self._lung.box] = self._healthy(z)
            if self._opacities is not None:
                self._opacities.paint(tissue, lesion, consolidation, z)
            mix(plane, lung, tissue)
        for pipes in self._pipes:
            pipes.paint(plane, z)
        return Truth(lung, np.minimum(lesion, lung), np.minimum(consolidation, lung))

    def lobes(self, z: float) -> npt.NDArray[np.uint8]:
        """Lobe of every point of the work plane, as if the lungs filled it."""
        right = self._scene.columns[None, :] < 0
        lower = z < self._oblique
        lobes = np.where(right, Lobe.RIGHT_UPPER, Lobe.LEFT_UPPER)
        lobes = np.where(right & (z < self._horizontal), Lobe.RIGHT_MIDDLE, lobes)
        lobes = np.where(lower & right, Lobe.RIGHT_LOWER, lobes)
        return np.where(lower & ~right, Lobe.LEFT_LOWER, lobes).astype(np.uint8)

    def _healthy(self, z: float) -> Array:
        """HU of lung without disease over the box of the lungs: denser at the back."""
        b, box = self._build, self._lung.box
        y = self._scene.rows[box[0], None] / b.half_depth
        tissue = b.parenchyma + b.gradient * y**3
        tissue = tissue + np.float32(b.grain) * self._lung.spread(self._grain, z)
        oblique = (z - self._oblique[box]) / np.float32(1.45)
        horizontal = z - self._horizontal[box]
        middle = (oblique > 0) & (self._scene.columns[None, box[1]] < 0)
        near = np.minimum(np.abs(oblique), np.where(middle, np.abs(horizontal), 9.0))
        return np.asarray(tissue + _FISSURE_HU * np.clip(1.2 - near, 0, 1), np.float32)

    def _fissures(self, rng: np.random.Generator, grid: Grid) -> tuple[Array, Array]:
        """Heights of the oblique and the horizontal fissure over the work plane."""
        b = self._build
        y, x = grid.axis(1)[:, None], grid.axis(2)[None, :]
        flat = Grid((0.0, grid.origin[1], grid.origin[2]), grid.step, (1, y.shape[0], x.shape[1]))
        bend = [6 * random_field(rng, flat, 24)[0] for _ in range(2)]
        oblique = 0.42 * b.height + 1.05 * y + rng.uniform(-10, 10) + bend[0]
        horizontal = 0.5 * b.height + 0.12 * y + 0.08 * x + rng.uniform(-8, 8) + bend[1]
        rows = interpolation(grid.axis(1), self._scene.rows)
        columns = interpolation(grid.axis(2), self._scene.columns).T
        return (
            np.asarray(rows @ oblique @ columns, np.float32),
            np.asarray(rows @ horizontal @ columns, np.float32),
        )

    def _trees(self, rng: np.random.Generator) -> tuple[Tubes, Tubes, Tubes]:
        """Vessels, airway lumen, airway walls."""
        thorax, h = self._anatomy, self._build.height
        vessels, airways = [], []
        carina = np.array(thorax.carina, np.float32)
        airways.append(line(np.array([(h + 12, -2, 0), carina]), 8.5))
        for side in (-1, 1):
            hilum = np.array((0.54 * h, 8.0, side * 34.0), np.float32)
            vessels.append(tree(hilum, self._ends(rng, side, 420, 4.0), 0.62))
            bronchus = hilum + np.array((4, 6, -side * 4), np.float32)
            airways.append(line(np.array([carina, bronchus]), 6.5, 5.0))
            airways.append(tree(bronchus, self._ends(rng, side, 26, 22.0), 1.1))
        lumen = joined(*airways)
        return joined(*vessels), lumen, lumen.grown(1.12, 0.9)

    def _ends(
        self, rng: np.random.Generator, side: int, count: int, depth: float
    ) -> npt.NDArray[np.float32]:
        """Random places at least `depth` mm inside one lung."""
        grid = self._anatomy.grid
        inside = self._anatomy.lung < -depth
        inside &= (np.sign(grid.axis(2)) == side)[None, None, :]
        places = np.argwhere(inside)
        chosen = places[rng.integers(0, len(places), count)]
        jitter = rng.uniform(-0.5, 0.5, chosen.shape)
        return np.asarray((chosen + jitter) * grid.step + np.array(grid.origin), np.float32)
