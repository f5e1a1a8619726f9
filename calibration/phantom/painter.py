"""Makes solids and tubes of one scene from distances on one grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.phantom.scene import Pipes, Scene, Solid
from calibration.phantom.shapes import Array, Grid
from calibration.phantom.tubes import Tubes


@dataclass(frozen=True)
class Painter:
    """The scene to paint into and the grid the distances lie on."""

    scene: Scene
    grid: Grid

    def solid(self, distance: Array, hu: float = 0.0, edge: float = 1.2) -> Solid:
        """A solid of `hu`; `distance` broadcasts to the grid."""
        full = np.ascontiguousarray(np.broadcast_to(distance, self.grid.shape), np.float32)
        return Solid(full, self.grid, self.scene.rows, self.scene.columns, hu, edge)

    def pipes(self, tubes: Tubes, hu: float) -> Pipes:
        """Tubes of `hu`."""
        return Pipes(tubes, self.scene.rows, self.scene.columns, hu)
