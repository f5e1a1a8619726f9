"""An abdomen: liver, kidneys, bowel with gas, spine; no lung."""

from __future__ import annotations

import numpy as np

from calibration.phantom.painter import Painter
from calibration.phantom.scene import Part, Scene, work_axis
from calibration.phantom.shapes import Array, Grid, column, common, ellipsoid, random_field
from calibration.phantom.tubes import joined, line

_HEIGHT = 260.0
_STEP = 3.0
_BOWEL_LOOPS = 26


def abdomen(rng: np.random.Generator) -> Scene:
    """An abdomen from the pelvis to below the diaphragm."""
    width, depth = rng.uniform(125, 165), rng.uniform(88, 115)
    fat = rng.uniform(8, 35)
    half_y, half_x = depth + fat + 40, width + fat + 40
    scene = Scene(work_axis(half_y), work_axis(half_x), 0.0, _HEIGHT)
    grid = Grid.over((-6.0, -half_y, -half_x), (_HEIGHT + 6, half_y, half_x), _STEP)
    at = grid.coordinates
    cavity = column(at, (-6.0, 0.0), (depth - 22, width - 14), 2.4)
    paint = Painter(scene, grid)

    table = np.abs(at[1] - (depth + fat + 18 - (at[2] / 60) ** 2 * 2)) - 2
    scene.parts = [
        paint.solid(table, -650),
        paint.solid(column(at, (0.0, 0.0), (depth + fat, width + fat), 2.3), 20),
        paint.solid(column(at, (0.0, 0.0), (depth + fat - 2, width + fat - 2), 2.3), -100),
        paint.solid(column(at, (0.0, 0.0), (depth, width), 2.4), 55),
        paint.solid(cavity, -95),
        *_organs(rng, paint, grid, cavity, width),
        *_spine(paint, at, depth),
    ]
    return scene


def _organs(
    rng: np.random.Generator, paint: Painter, grid: Grid, cavity: Array, width: float
) -> list[Part]:
    at = grid.coordinates
    liver = ellipsoid(at, (_HEIGHT, -8, -0.45 * width), (120, 72, 85), 2.3)
    spleen = ellipsoid(at, (_HEIGHT - 20, 30, 0.68 * width), (50, 34, 26))
    kidneys = [
        ellipsoid(at, (0.62 * _HEIGHT + 10 * side, 42, side * 58), (52, 26, 26)) for side in (-1, 1)
    ]
    parts: list[Part] = [
        paint.solid(common(liver, cavity + 3), rng.uniform(50, 110)),
        paint.solid(common(spleen, cavity + 3), 60),
        *(paint.solid(common(kidney, cavity + 2), rng.uniform(30, 140)) for kidney in kidneys),
    ]
    ragged = 4 * random_field(rng, grid, 8)
    for _ in range(_BOWEL_LOOPS):
        parts += _loop(rng, paint, grid, cavity, width, ragged)
    return parts


def _loop(
    rng: np.random.Generator,
    paint: Painter,
    grid: Grid,
    cavity: Array,
    width: float,
    ragged: Array,
) -> list[Part]:
    """One bowel loop: wall and content, and in most of them gas above a level."""
    at = grid.coordinates
    centre = (rng.uniform(0, 220), rng.uniform(-60, 25), rng.uniform(-0.75, 0.75) * width)
    radii = [float(radius) for radius in rng.uniform(14, 40, 3)]
    loop = common(ellipsoid(at, centre, radii) + ragged, cavity + 4)
    parts: list[Part] = [paint.solid(loop, rng.uniform(10, 60))]
    if rng.random() < 0.7:
        level = np.broadcast_to(at[1] - (centre[1] + rng.uniform(-10, 30)), grid.shape)
        parts.append(paint.solid(common(loop + 3, level), rng.uniform(-990, -700)))
    return parts


def _spine(paint: Painter, at: tuple[Array, Array, Array], depth: float) -> list[Part]:
    y = depth - 42.0
    disc = np.abs((at[0] + 60) % 34 - 17) < 4
    body = column(at, (y, 0.0), (20.0, 26.0), 2.3)
    psoas = [column(at, (y, side * 46.0), (20.0, 16.0)) for side in (-1, 1)]
    aorta = line([(-10, y - 30, 8), (_HEIGHT + 10, y - 30, 10)], 10)
    cava = line([(-10, y - 28, -14), (_HEIGHT + 10, y - 28, -18)], 11)
    return [
        *(paint.solid(part, 55) for part in psoas),
        paint.solid(column(at, (y + 36, 0.0), (22.0, 22.0)), 300),
        paint.solid(body, 420),
        paint.solid(np.where(disc, 9.0, body + 3), 180),
        paint.solid(np.where(disc, body, 9.0), 90),
        paint.solid(column(at, (y + 30, 0.0), (9.0, 11.0)), 25),
        paint.pipes(joined(aorta, cava), 120),
    ]
