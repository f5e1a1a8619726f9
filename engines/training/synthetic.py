"""What the labelled scans lack, painted into them.

Their air outside the body was wiped, nobody lies with arms down, few show bowel
gas, and dense disease is rare. Networks trained on them alone paint lung into
cushions, between arms and body, and into a distended stomach, and leave
consolidation out of the lung. So surroundings, gas and opacities are painted
into part of the samples.
"""

from __future__ import annotations

import copy

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_erosion, gaussian_filter, label

from engines.training.models import SIZE, WINDOW_HU, windowed

Plane = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
#: Share of lung, shape (targets, rows, columns); NaN where nobody looked.
Label = npt.NDArray[np.float32]

_BANK = 40
_WIPED_HU = -1022.0
_PER_HU = 1.0 / (WINDOW_HU[1] - WINDOW_HU[0])
#: Planes of a block lie about 3 mm apart, pixels 1.4 mm.
_PLANES_PER_PIXEL = 1.4 / 3.0


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

    def seeded(self, rng: np.random.Generator) -> Painter:
        """The same painter with other chance; textures and surroundings are shared."""
        other = copy.copy(self)
        other._rng = rng
        return other

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

    def gas(self, planes: Plane, lung: Label) -> Plane:
        """A stomach or bowel loop filled with gas, fluid or stool in soft tissue."""
        soft = (planes > _value(-200)).all(axis=0) & (lung == 0).all(axis=0)
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
        self, planes: Plane, lung: Label, largest_dense: float = 60.0
    ) -> tuple[Plane, Mask]:
        """Ground glass or consolidation in labelled lung, more often at its back.

        Parameters
        ----------
        planes, lung
            Image, and lung label of one target or of every plane.
        largest_dense
            Largest radius of consolidation, pixels. Too much of it teaches a lung
            network that liver is lung.

        Returns
        -------
        The planes, and the diseased region, shape of `lung`.
        """
        inside = lung > 0.5
        places = np.argwhere(inside)
        if len(places) == 0:
            return planes, np.zeros(lung.shape, bool)
        picks = places[self._rng.integers(len(places), size=3)]
        centre = picks[np.argmax(picks[:, 1])]
        dense = self._rng.random() < 0.45
        largest = largest_dense if dense else 60.0
        region = self._ball(centre, self._rng.uniform(5, largest), len(lung)) & inside
        blurred = gaussian_filter(region.astype(np.float32), (0, 1.2, 1.2))
        share = np.minimum(blurred, 1) * inside
        target = self._rng.uniform(-200, 50) if dense else self._rng.uniform(-680, -350)
        level = _value(target) + np.float32(0.03) * self._field(self._fine)
        # Vessels and bronchi shine through: even soft tissue is liver or aorta, not lung.
        weight = np.float32(self._rng.uniform(0.75, 0.97)) * share
        painted = planes + weight * (np.maximum(level, planes + np.float32(0.05)) - planes)
        return painted.astype(np.float32), share > 0.5

    def settled(self, planes: Plane, lung: Label) -> Plane:
        """Lung that is denser towards the back, as it is in everyone who lies: no disease.

        The rise stays below what faint ground glass adds: more of it teaches a
        network to overlook that.
        """
        inside = np.asarray((lung > 0.5).any(axis=0))
        rows = np.flatnonzero(inside.any(axis=1))
        if len(rows) == 0:
            return planes
        depth = np.float32(self._rng.uniform(0.1, 0.35) * (rows[-1] - rows[0] + 1))
        rise = np.clip((self._y - np.float32(rows[-1])) / depth + 1, 0, 1) ** 2
        amount = np.float32(self._rng.uniform(15, 60) * _PER_HU) * rise
        soft = gaussian_filter(inside.astype(np.float32), 1.0) * (planes < _value(-500))
        return np.asarray(planes + amount * soft, np.float32)

    def moved(self, planes: Plane) -> Plane:
        """A patient who moved: the image and a shifted one over each other."""
        shift = self._rng.integers(-5, 6, 2)
        share = np.float32(self._rng.uniform(0.25, 0.5))
        other = np.roll(planes, (int(shift[0]), int(shift[1])), axis=(1, 2))
        return np.asarray((1 - share) * planes + share * other, np.float32)

    def _field(self, bank: Plane) -> Plane:
        shift = self._rng.integers(0, SIZE, 2)
        field = bank[self._rng.integers(_BANK)]
        return np.roll(field, (int(shift[0]), int(shift[1])), axis=(0, 1))

    def _ball(self, centre: npt.NDArray[np.intp], radius: float, planes: int) -> Mask:
        """A ragged ellipsoid around (plane, row, column), one cut a plane."""
        field = self._oval(centre[1:], radius)
        reach = radius * self._rng.uniform(0.3, 1.0) * _PLANES_PER_PIXEL
        away = (np.arange(planes, dtype=np.float32) - np.float32(centre[0])) / np.float32(reach)
        return np.asarray(field[None] < 1 - away[:, None, None] ** 2)

    def _blob(self, centre: npt.NDArray[np.intp], radius: float) -> Mask:
        """A ragged ellipse, turned at random."""
        return np.asarray(self._oval(centre, radius) < 1)

    def _oval(self, centre: npt.NDArray[np.intp], radius: float) -> Plane:
        """Squared distance from a centre in units of a ragged ellipse's radius."""
        turn, stretch = self._rng.uniform(0, np.pi), self._rng.uniform(1, 2.2)
        y, x = self._y - np.float32(centre[0]), self._x - np.float32(centre[1])
        along = (np.cos(turn) * x + np.sin(turn) * y) / np.float32(radius)
        across = (np.cos(turn) * y - np.sin(turn) * x) / np.float32(radius / stretch)
        ragged = self._rng.uniform(0, 0.35) * self._field(
            self._coarse if radius > 20 else self._fine
        )
        return np.asarray(along**2 + across**2 + ragged, np.float32)

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
