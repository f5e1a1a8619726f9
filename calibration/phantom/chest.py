"""The chest: a thorax and, in it, two lungs of five lobes."""

from __future__ import annotations

import numpy as np

from calibration.phantom.lungs import Lungs
from calibration.phantom.painter import Painter
from calibration.phantom.scene import Scene, work_axis
from calibration.phantom.shapes import Grid
from calibration.phantom.thorax import MARGIN_MM, Build, Thorax

_STEP = 3.0


def chest(rng: np.random.Generator, load: float) -> Scene:
    """A chest whose lungs are affected to the share `load` (0 to 1), about."""
    build = Build.drawn(rng)
    half_y = build.half_depth + build.fat + 60
    half_x = build.half_width + build.fat + 55
    scene = Scene(work_axis(half_y), work_axis(half_x), -MARGIN_MM, build.height + 12)
    grid = Grid.over((scene.bottom - 6, -half_y, -half_x), (scene.top + 6, half_y, half_x), _STEP)
    thorax, paint = Thorax(build, grid, rng), Painter(scene, grid)
    scene.parts = [
        *thorax.wall(paint),
        *thorax.abdomen(paint),
        *thorax.mediastinum(paint),
        *thorax.bones(paint),
    ]
    scene.lungs = Lungs(thorax, paint, rng, load)
    return scene
