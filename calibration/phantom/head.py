"""A head: skull, brain, ventricles, air in sinuses, nose and mastoids; no lung."""

from __future__ import annotations

import numpy as np

from calibration.phantom.painter import Painter
from calibration.phantom.scene import Part, Scene, work_axis
from calibration.phantom.shapes import Array, Grid, column, common, ellipsoid, random_field, union

_STEP = 2.5
_TOP = 190.0
_CENTRE_Z = 105.0


def head(rng: np.random.Generator) -> Scene:
    """A head from the upper teeth to above the crown."""
    size = rng.uniform(0.9, 1.08)
    half_y, half_x = 130 * size, 110 * size
    scene = Scene(work_axis(half_y), work_axis(half_x), 0.0, _TOP * size + 8)
    grid = Grid.over((-5.0, -half_y, -half_x), (_TOP * size + 14, half_y, half_x), _STEP)
    paint = Painter(scene, grid)
    z, y, x = grid.coordinates
    at = (z / np.float32(size), y / np.float32(size), x / np.float32(size))
    skull = _skull(at)
    scene.parts = [
        paint.solid(np.abs(y - half_y * 0.92 + (x / 60) ** 2 * 12) - 2, -500),
        paint.solid(union(skull - 6, _face(at) - 3), 15),
        paint.solid(union(skull - 4, _face(at) - 1), -90),
        paint.solid(union(skull - 3, _face(at) + 3), 50),
        paint.solid(common(skull, -_nasal_space(at)), rng.uniform(900, 1400)),
        paint.solid(skull + 5.5, 37),
        *_brain(rng, paint, at, skull),
        *_air(rng, paint, grid, at),
    ]
    return scene


def _skull(at: tuple[Array, Array, Array]) -> Array:
    return ellipsoid(at, (_CENTRE_Z, 4.0, 0.0), (78, 92, 72), 2.2)


def _face(at: tuple[Array, Array, Array]) -> Array:
    block = column(at, (-25.0, 0.0), (62.0, 56.0), 2.6)
    neck = column(at, (35.0, 0.0), (52.0, 58.0), 2.2)
    return common(union(block, neck), at[0] - 75)


def _nasal_space(at: tuple[Array, Array, Array]) -> Array:
    return ellipsoid(at, (38.0, -58.0, 0.0), (34, 34, 20))


def _brain(
    rng: np.random.Generator, paint: Painter, at: tuple[Array, Array, Array], skull: Array
) -> list[Part]:
    ventricles = union(*(ellipsoid(at, (110.0, 0.0, side * 12.0), (16, 34, 6)) for side in (-1, 1)))
    falx = np.broadcast_to(np.abs(at[2]) - 1.2, skull.shape)
    base = ellipsoid(at, (40.0, 0.0, 0.0), (20, 74, 60))
    eyes = union(*(ellipsoid(at, (58.0, -78.0, s * 32.0), (12, 12, 12)) for s in (-1, 1)))
    return [
        paint.solid(ventricles, 6),
        paint.solid(common(falx, skull + 6, 90 - at[0]), 60),
        paint.solid(base, rng.uniform(300, 700)),
        paint.solid(ellipsoid(at, (30.0, 55.0, 0.0), (40, 30, 34)), 38),
        paint.solid(eyes - 6, -85),
        paint.solid(eyes, 12),
    ]


def _air(
    rng: np.random.Generator, paint: Painter, grid: Grid, at: tuple[Array, Array, Array]
) -> list[Part]:
    """Sinuses, nose, throat, and mastoid cells: air broken up by thin walls."""
    cells = 3.0 * random_field(rng, grid, 4)
    maxillary = [ellipsoid(at, (34.0, -62.0, s * 30.0), (18, 17, 14)) for s in (-1, 1)]
    frontal = ellipsoid(at, (84.0, -88.0, rng.uniform(-4, 4)), (12, 7, 22))
    sphenoid = ellipsoid(at, (48.0, -22.0, 0.0), (11, 14, 16))
    septum = np.abs(at[2]) - 1.5
    nose = common(_nasal_space(at) + 6, -np.broadcast_to(septum, grid.shape))
    mastoids = [ellipsoid(at, (38.0, 28.0, s * 60.0), (18, 16, 10)) for s in (-1, 1)]
    throat = column(at, (-8.0, 0.0), (9.0, 12.0))
    throat = common(np.broadcast_to(throat, grid.shape), at[0] - 40)
    return [
        paint.solid(union(*maxillary, frontal, sphenoid) - 3, 500),
        paint.solid(union(*maxillary, frontal, sphenoid), -980),
        paint.solid(nose + cells, -900),
        paint.solid(union(*mastoids), 700),
        paint.solid(union(*mastoids) + 2 + 1.6 * cells, -850),
        paint.solid(throat, -985),
    ]
