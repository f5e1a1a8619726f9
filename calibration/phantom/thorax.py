"""The thorax around the lungs: wall, bones, heart, great vessels, upper abdomen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.phantom.painter import Painter
from calibration.phantom.scene import Part
from calibration.phantom.shapes import (
    Array,
    Grid,
    column,
    common,
    ellipsoid,
    random_field,
    rounded,
    union,
)
from calibration.phantom.tubes import Tubes, joined, line

#: How far below the lungs the scene begins, mm.
MARGIN_MM = 30.0


@dataclass(frozen=True)
class Build:
    """What differs from body to body; lengths in mm, attenuation in HU."""

    height: float  # of the lungs
    half_width: float  # of the rib cage
    half_depth: float
    fat: float  # under the skin
    parenchyma: float
    gradient: float  # how much denser the lung is at the back
    grain: float  # of the parenchyma, one standard deviation
    blood: float
    heart: float  # size, 1 is usual

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Build:
        """A body drawn at random."""
        size = rng.uniform(0.88, 1.1)
        return cls(
            height=240 * size * rng.uniform(0.92, 1.1),
            half_width=134 * size,
            half_depth=84 * size * rng.uniform(0.92, 1.1),
            fat=rng.uniform(6, 32),
            parenchyma=rng.uniform(-880, -800),
            gradient=rng.uniform(10, 90),
            grain=rng.uniform(8, 28),
            blood=rng.choice([40.0, 45.0, 150.0], p=[0.5, 0.3, 0.2]),
            heart=rng.uniform(0.85, 1.2),
        )


class Thorax:
    """Shapes of one chest as signed distances."""

    def __init__(self, build: Build, grid: Grid, rng: np.random.Generator) -> None:
        self.build, self.grid, self._rng = build, grid, rng
        self.at = grid.coordinates
        self.spine_y = build.half_depth - 6
        self.carina = (0.60 * build.height, 4.0, 0.0)
        self.heart = self._heart()
        self.dome = self._dome()
        self.cage = self._cage()
        self.lung = self._lung()

    def narrowing(self, z: Array | float) -> Array:
        """Width of the rib cage at height z over its greatest width."""
        above = np.clip(np.asarray(z, np.float32) / self.build.height - 0.3, 0, 0.745)
        return np.asarray(np.sqrt(1 - (above / 0.75) ** 2.4), np.float32)

    def _cage(self) -> Array:
        width = self.narrowing(self.at[0])
        depth = np.clip(width + 0.06, 0, 1)
        b = self.build
        return column(self.at, (0.0, 0.0), (b.half_depth * depth, b.half_width * width), 2.4)

    def _heart(self) -> Array:
        h = self.build.heart
        centre = (0.24 * self.build.height, -0.30 * self.build.half_depth, 24.0)
        return ellipsoid(self.at, centre, (54 * h, 44 * h, 58 * h), 2.2)

    def _dome(self) -> Array:
        """Height above the diaphragm: negative is below it."""
        z, y, x = self.at
        b = self.build
        right = (x + 0.52 * b.half_width) / (0.62 * b.half_width)
        left = (x - 0.52 * b.half_width) / (0.62 * b.half_width)
        front = (y + 0.12 * b.half_depth) / (1.05 * b.half_depth)
        high = 0.24 * b.height
        dome_right = high * (1.0 - 0.9 * right**2 - 0.95 * front**2)
        dome_left = 0.82 * high * (1.0 - 0.9 * left**2 - 0.95 * front**2)
        return np.asarray(z - np.maximum(dome_right, dome_left), np.float32)

    def _lung(self) -> Array:
        z, _, x = self.at
        height = z / self.build.height
        slab = np.abs(x) - (17 + 9 * np.exp(-(((height - 0.5) / 0.2) ** 2)) + 16 * (height > 0.9))
        middle = union(
            slab,
            self.heart - 5,
            column(self.at, (self.spine_y, 0.0), (27.0, 30.0)),
            ellipsoid(self.at, (0.55 * self.build.height, 5.0, -22.0), (26, 20, 24)),
            ellipsoid(self.at, (0.57 * self.build.height, 10.0, 24.0), (26, 20, 24)),
            ellipsoid(self.at, (0.66 * self.build.height, 0.0, 14.0), (18, 42, 26)),
        )
        wobble = 1.2 * random_field(self._rng, self.grid, 14)
        return rounded(common(self.cage, -middle, -self.dome * 0.8) + wobble, self.grid, 3.0)

    def wall(self, paint: Painter) -> list[Part]:
        b = self.build
        z, _, x = self.at
        shoulder = np.clip((z / b.height - 0.75) * 4, 0, 1)
        half_y = b.half_depth + 16 - 14 * shoulder
        half_x = b.half_width + 13 + 20 * shoulder
        skin = column(self.at, (6.0, 0.0), (half_y + b.fat + 14, half_x + b.fat), 2.3)
        inner = column(self.at, (6.0, 0.0), (half_y + 14, half_x), 2.4)
        groove = column(self.at, (b.half_depth + b.fat + 42.0, 0.0), (16.0, 14.0))
        skin = np.maximum(skin, -groove)
        muscle = np.maximum(inner, -groove - 6)
        stripes = 2.5 * random_field(self._rng, self.grid, 6)
        table = np.abs(self.at[1] - (b.half_depth + b.fat + 47 - (x / 60) ** 2 * 2)) - 2
        table = np.broadcast_to(table, self.grid.shape)
        cage_inside = np.maximum(self.cage - 3, -1e3)
        return [
            paint.solid(table, -650),
            paint.solid(skin, 20),
            paint.solid(skin + 2.0, -100),
            paint.solid(muscle + stripes, 55),
            paint.solid(cage_inside, -85),
        ]

    def abdomen(self, paint: Painter) -> list[Part]:
        below = np.maximum(self.dome, self.cage)
        b = self.build
        liver = ellipsoid(self.at, (-15.0, -8.0, -50.0), (80, 0.95 * b.half_depth, 100), 2.6)
        spleen = ellipsoid(self.at, (0.0, 45.0, 0.72 * b.half_width), (50, 36, 28))
        stomach = ellipsoid(self.at, (0.0, -20.0, 0.45 * b.half_width), (50, 42, 34))
        level = self.at[1] + self._rng.uniform(5, 35)
        gas = common(stomach + 3, np.broadcast_to(level, self.grid.shape), below + 5)
        colon = ellipsoid(self.at, (-20.0, -50.0, 0.62 * b.half_width), (26, 22, 30))
        return [
            paint.solid(common(liver, below + 1), 62),
            paint.solid(common(spleen, below + 1), 52),
            paint.solid(common(stomach, below + 1), 35),
            paint.solid(gas, -960),
            paint.solid(common(colon, below + 4), 20),
            paint.solid(common(colon + 3, below + 7), -900),
        ]

    def mediastinum(self, paint: Painter) -> list[Part]:
        b, h = self.build, self.build.height
        back = self.spine_y - 18
        arch = line(
            [
                (0.33 * h, -18, 6),
                (0.6 * h, -26, -10),
                (0.70 * h, -14, 0),
                (0.71 * h, 12, 14),
                (0.62 * h, back, 24),
                (0.3 * h, back, 20),
                (-MARGIN_MM, back, 8),
            ],
            14,
            11,
        )
        trunk = line([(0.40 * h, -34, 12), (0.54 * h, -12, 12), (0.56 * h, 2, 2)], 14, 12)
        right = line([(0.56 * h, 0, 4), (0.55 * h, 6, -36)], 11, 8)
        left = line([(0.56 * h, -2, 8), (0.58 * h, 10, 36)], 11, 8)
        cava = line([(0.3 * h, -10, -26), (h + 10, -14, -22)], 9)
        branches = joined(
            line([(0.7 * h, -16, -6), (h + 10, -8, -16)], 5),
            line([(0.71 * h, -4, 4), (h + 10, 2, 12)], 4.5),
            line([(0.71 * h, 8, 12), (h + 10, 14, 24)], 4.5),
        )
        gullet = line([(-MARGIN_MM, back - 10, 6), (h + 10, 26, 4)], 6)
        blood = joined(arch, trunk, right, left, cava, branches)
        crura = column(self.at, (self.spine_y - 10, 0.0), (30.0, 34.0))
        return [
            paint.solid(self.heart, 0.5 * b.blood + 22),
            paint.solid(common(crura, self.at[0] - 0.1 * h), 50),
            paint.pipes(gullet, 35),
            paint.pipes(blood, b.blood),
        ]

    def bones(self, paint: Painter) -> list[Part]:
        z, _, _ = self.at
        b = self.build
        body = column(self.at, (self.spine_y, 0.0), (16.0, 20.0), 2.3)
        disc = np.abs((z + 60) % 26 - 13) < 2.6
        arch = column(self.at, (self.spine_y + 26, 0.0), (15.0, 18.0))
        canal = column(self.at, (self.spine_y + 25, 0.0), (8.5, 10.0))
        process = column(self.at, (self.spine_y + 46, 0.0), (13.0, 4.0))
        process = np.maximum(process, np.cos(z / 26 * 2 * np.pi) * 4)
        sternum = column(self.at, (-b.half_depth - 7, 0.0), (6.0, 17.0), 2.5)
        sternum = common(sternum, np.abs(z - 0.6 * b.height) - 0.34 * b.height)
        blade_x = b.half_width * 0.72
        blades = [self._blade(side * blade_x, side) for side in (-1, 1)]
        ribs = joined(*(self._rib(i, side) for i in range(12) for side in (-1, 1)))
        return [
            paint.solid(union(body, arch, process), 420),
            paint.solid(np.where(disc, 9.0, body + 2.5), 190),
            paint.solid(np.where(disc, body, 9.0), 90),
            paint.solid(canal, 25),
            paint.solid(union(sternum, *blades), 480),
            paint.solid(union(sternum + 3, *(blade + 3 for blade in blades)), 170),
            paint.pipes(ribs, 620),
            paint.pipes(ribs.grown(1.0, -2.2), 180),
        ]

    def _blade(self, x: float, side: int) -> Array:
        _, y, across = self.at
        b = self.build
        lean = y - (b.half_depth + 8 - side * (across - x) * 0.55)
        thin = np.abs(lean) - 4
        extent = ellipsoid(self.at, (0.82 * b.height, b.half_depth, x), (70, 60, 42))
        return common(thin, extent)

    def _rib(self, index: int, side: int) -> Tubes:
        b = self.build
        turn = np.linspace(0.06, 0.93, 26) * np.pi
        start = -0.02 * b.height + index * 0.098 * b.height
        z = start + 20 - 62 * (1 - np.cos(turn)) / 2
        width = self.narrowing(np.clip(z, 0, None)) + 0.04
        x = side * (b.half_width * width + 5) * np.abs(np.sin(turn)) ** 0.8
        y = (b.half_depth * np.clip(width + 0.06, 0, 1.04) + 5) * np.sign(np.cos(turn))
        y = y * np.abs(np.cos(turn)) ** 0.8
        return line(np.stack([z, y, x], axis=1), 5.2)
