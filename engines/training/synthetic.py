"""What the labelled scans lack, painted into them.

Their air outside the body was wiped, nobody lies with arms down, few show bowel
gas, and dense disease is rare. Networks trained on them alone paint lung into
cushions, between arms and body, and into a distended stomach, and leave
consolidation out of the lung. So surroundings, gas and opacities are painted
into part of the samples.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_erosion, gaussian_filter, label

from engines.training.models import SIZE, windowed

Plane = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

_BANK = 40
_WIPED_HU = -1022.0


def _value(hu: float) -> np.float32:
    """HU as a value of a plane."""
    return np.float32(windowed(np.array(hu))[()])


class Painter:
    """Paints into planes of shape (planes, rows, columns), values 0 to 1.

    Parameters
    ----------
    rng
        Where all chance comes from.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32)
        self._y, self._x = y, x
        noise = rng.standard_normal((_BANK, SIZE, SIZE), np.float32)
        fine = gaussian_filter(noise, (0, 4, 4), mode="wrap")
        coarse = gaussian_filter(noise, (0, 14, 14), mode="wrap")
        self._fine, self._coarse = fine / fine.std(), coarse / coarse.std()
        self._surroundings = [self._draw_surroundings() for _ in range(_BANK)]

    def surround(self, planes: Plane) -> tuple[Plane, Mask]:
        """Air, couch, cushions, cloth and arms where the surroundings were wiped.

        Returns
        -------
        The planes, and where something was painted: none of it is lung.
        """
        wiped = (planes <= _value(_WIPED_HU)).all(axis=0)
        outside = _touching_edge(np.asarray(wiped))
        scene = self._surroundings[self._rng.integers(_BANK)]
        scene = scene[:, :: self._rng.choice([-1, 1])]
        if self._rng.random() < 0.4:
            radius = np.hypot(self._y - SIZE / 2, self._x - SIZE / 2)
            outside = outside & (radius < SIZE / 2 * self._rng.uniform(0.97, 1.1))
        return np.where(outside, scene, planes), outside

    def gas(self, planes: Plane, lung: npt.NDArray[np.uint8]) -> Plane:
        """A stomach or bowel loop filled with gas, fluid or stool in soft tissue."""
        soft = (planes > _value(-200)).all(axis=0) & (lung == 0)
        places = np.argwhere(soft)
        if len(places) == 0:
            return planes
        centre = places[self._rng.integers(len(places))]
        region = self._blob(centre, self._rng.uniform(5, 42)) & binary_erosion(soft, iterations=2)
        if self._rng.random() < 0.6:
            region &= self._y < centre[0] + self._rng.uniform(-5, 25)
        content = np.full((SIZE, SIZE), _value(self._rng.uniform(-1010, -900)), np.float32)
        if self._rng.random() < 0.3:
            content += 0.12 * np.abs(self._field(self._fine))
        return np.where(region, content, planes)

    def opacity(
        self, planes: Plane, lung: npt.NDArray[np.uint8], largest_dense: float = 60.0
    ) -> tuple[Plane, Mask]:
        """Ground glass or consolidation in labelled lung, more often at its back.

        Parameters
        ----------
        planes, lung
            Image and lung label of a slice.
        largest_dense
            Largest radius of consolidation, pixels. Too much of it teaches a lung
            network that liver is lung.

        Returns
        -------
        The planes, and the diseased region.
        """
        places = np.argwhere(lung == 1)
        if len(places) == 0:
            return planes, np.zeros(lung.shape, bool)
        picks = places[self._rng.integers(len(places), size=3)]
        centre = picks[np.argmax(picks[:, 0])]
        dense = self._rng.random() < 0.45
        largest = largest_dense if dense else 60.0
        region = self._blob(centre, self._rng.uniform(5, largest)) & (lung == 1)
        share = np.minimum(gaussian_filter(region.astype(np.float32), 1.2), 1) * (lung == 1)
        target = self._rng.uniform(-200, 50) if dense else self._rng.uniform(-680, -350)
        level = _value(target) + np.float32(0.03) * self._field(self._fine)
        # Vessels and bronchi shine through: even soft tissue is liver or aorta, not lung.
        weight = np.float32(self._rng.uniform(0.75, 0.97)) * share
        painted = planes + weight * (np.maximum(level, planes + np.float32(0.05)) - planes)
        return painted.astype(np.float32), share > 0.5

    def _field(self, bank: Plane) -> Plane:
        shift = self._rng.integers(0, SIZE, 2)
        field = bank[self._rng.integers(_BANK)]
        return np.roll(field, (int(shift[0]), int(shift[1])), axis=(0, 1))

    def _blob(self, centre: npt.NDArray[np.intp], radius: float) -> Mask:
        """A ragged ellipse, turned at random."""
        turn, stretch = self._rng.uniform(0, np.pi), self._rng.uniform(1, 2.2)
        y, x = self._y - np.float32(centre[0]), self._x - np.float32(centre[1])
        along = (np.cos(turn) * x + np.sin(turn) * y) / np.float32(radius)
        across = (np.cos(turn) * y - np.sin(turn) * x) / np.float32(radius / stretch)
        ragged = self._rng.uniform(0, 0.35) * self._field(
            self._coarse if radius > 20 else self._fine
        )
        return np.asarray(along**2 + across**2 + ragged < 1)

    def _draw_surroundings(self) -> Plane:
        rng = self._rng
        scene = np.full((SIZE, SIZE), _value(rng.uniform(-1010, -985)), np.float32)
        scene += np.float32(rng.uniform(0, 0.012)) * rng.standard_normal((SIZE, SIZE), np.float32)
        for _ in range(rng.integers(0, 4)):
            self._cushion(scene)
        if rng.random() < 0.5:
            self._cloth(scene)
        for _ in range(rng.integers(1, 4)):
            self._board(scene)
        for side in (0, SIZE):
            if rng.random() < 0.4:
                self._arm(scene, side)
        return scene

    def _cushion(self, scene: Plane) -> None:
        """A patch nearly as light as air, or as lung."""
        centre = self._rng.integers(0, SIZE, 2)
        region = self._blob(centre, self._rng.uniform(20, 120))
        texture = np.float32(self._rng.uniform(0, 0.02)) * self._field(self._fine)
        scene[region] = _value(self._rng.uniform(-990, -780)) + texture[region]

    def _cloth(self, scene: Plane) -> None:
        """Wrinkles: thin winding lines."""
        field = self._field(self._fine)
        lines = np.abs(field - self._rng.uniform(-1, 1)) < self._rng.uniform(0.05, 0.2)
        scene[lines & (self._field(self._coarse) > 0)] = _value(self._rng.uniform(-950, -400))

    def _board(self, scene: Plane) -> None:
        """Couch, shell or tray: two curved lines with something light between them."""
        rng = self._rng
        height = (
            rng.uniform(0.55, 1.0) * SIZE
            + rng.uniform(-0.003, 0.004) * (self._x - rng.uniform(0.4, 0.6) * SIZE) ** 2
        )
        depth, wall = rng.uniform(3, 30), rng.uniform(0.7, 3)
        within = (self._y > height) & (self._y < height + depth)
        within &= np.abs(self._x - SIZE / 2) < rng.uniform(0.15, 0.6) * SIZE
        scene[within] = _value(rng.uniform(-1000, -850))
        inner = (self._y > height + wall) & (self._y < height + depth - wall)
        scene[within & ~inner] = _value(rng.uniform(-800, 500))

    def _arm(self, scene: Plane, side: int) -> None:
        rng = self._rng
        centre = (rng.uniform(0.35, 0.8) * SIZE, abs(side - rng.uniform(-8, 26)))
        away = np.hypot((self._y - centre[0]) / rng.uniform(0.8, 1.6), self._x - centre[1])
        radius = rng.uniform(12, 30)
        scene[away < radius] = _value(-100)
        scene[away < radius * 0.8] = _value(55)
        scene[away < radius * 0.3] = _value(900)


def _touching_edge(region: Mask) -> Mask:
    """The parts of a region that reach the frame's edge."""
    parts, _ = label(region)
    edge = np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]])
    touching = np.zeros(parts.max() + 1, bool)
    touching[edge] = True
    touching[0] = False
    return np.asarray(touching[parts])
