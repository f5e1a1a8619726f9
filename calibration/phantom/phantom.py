"""The phantom: a scanned body with its exact truth."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from calibration.phantom.abdomen import abdomen
from calibration.phantom.chest import chest
from calibration.phantom.head import head
from calibration.phantom.lungs import Lobe
from calibration.phantom.scene import Scene, Truth
from calibration.phantom.shapes import Array, Neighbours

__all__ = ["Anatomy", "Lobe", "Phantom", "Section", "make_phantom"]

_HU_MIN, _HU_MAX = -1024, 3071
_SUB_SECTION_MM = 1.7
_NOISE_PLANES = 6


class Anatomy(enum.StrEnum):
    """What is scanned; only the chest has lungs."""

    CHEST = "chest"
    ABDOMEN = "abdomen"
    HEAD = "head"


class Section(enum.StrEnum):
    """How thick the slices are."""

    THIN = "thin"
    MEDIUM = "medium"
    THICK = "thick"


#: Usual, smallest and largest distance between slices of each section, mm.
_SPACING = {
    Section.THIN: (1.0, 0.5, 1.5),
    Section.MEDIUM: (3.0, 2.0, 4.5),
    Section.THICK: (5.0, 5.0, 10.0),
}


@dataclass(frozen=True, eq=False)
class Phantom:
    """A scanned body.

    Parameters
    ----------
    hu
        int16, shape (slices, rows, columns), from foot to head, front on top,
        patient's right on the left; HU.
    lung
        uint8, shape of `hu`: 1 in the lungs, lesions included.
    lobes
        uint8, shape of `hu`: values of :class:`Lobe`.
    lesion
        uint8, shape of `hu`: 0 none, 1 ground glass, 2 consolidation; only in `lung`.
    spacing
        Distance between slices, rows and columns, mm.
    seed, anatomy
        What it was made from.
    """

    hu: npt.NDArray[np.int16]
    lung: npt.NDArray[np.uint8]
    lobes: npt.NDArray[np.uint8]
    lesion: npt.NDArray[np.uint8]
    spacing: tuple[float, float, float]
    seed: int
    anatomy: Anatomy

    @property
    def po(self) -> float | None:
        """True percentage of opacity; None without lung."""
        lung = int(np.count_nonzero(self.lung))
        return 100.0 * int(np.count_nonzero(self.lesion)) / lung if lung else None


def make_phantom(
    seed: int,
    *,
    anatomy: Anatomy | Literal["chest", "abdomen", "head"] = Anatomy.CHEST,
    section: Section | Literal["thin", "medium", "thick"] = Section.THIN,
    slices: int | None = None,
    matrix: int = 512,
    lesions: bool | float = True,
) -> Phantom:
    """Scan a body drawn from `seed`; equal arguments give equal phantoms.

    Parameters
    ----------
    seed
        Draws build, disease, noise and field of view.
    anatomy
        Abdomen and head have gas and air but no lung.
    section
        Thin 1 mm, medium 3 mm, thick 5 mm unless `slices` asks for another
        distance; slices touch and are averaged over their thickness.
    slices
        How many; by default as many as cover the body part. Within the
        section's limits the distance is chosen so that they cover it.
    matrix
        Rows and columns.
    lesions
        False: none. True: a share of lung drawn at random, 1 to 50 %. A number:
        that share, 0 to 1 (met within a few hundredths).

    Raises
    ------
    ValueError
        For a matrix or a number of slices below 2, or a share outside 0 to 1.
    """
    anatomy, section = Anatomy(anatomy), Section(section)
    if matrix < 2 or (slices is not None and slices < 2):
        raise ValueError(f"a phantom needs 2 slices and a matrix of 2, not {slices} and {matrix}")
    rng = np.random.default_rng([seed, list(Anatomy).index(anatomy)])
    load = _load(lesions, rng)
    scene = _SCENES[anatomy](rng, load)
    heights, distance = slice_heights(scene, section, slices)
    return _scan(scene, heights, distance, matrix, rng, seed, anatomy)


_SCENES: dict[Anatomy, Callable[[np.random.Generator, float], Scene]] = {
    Anatomy.CHEST: chest,
    Anatomy.ABDOMEN: lambda rng, _: abdomen(rng),
    Anatomy.HEAD: lambda rng, _: head(rng),
}


def _load(lesions: bool | float, rng: np.random.Generator) -> float:
    drawn = float(np.exp(rng.uniform(np.log(0.01), np.log(0.5))))
    if lesions is True:
        return drawn
    if not 0 <= lesions <= 1:
        raise ValueError(f"the affected share must lie between 0 and 1, not {lesions}")
    return float(lesions)


def slice_heights(scene: Scene, section: Section, slices: int | None) -> tuple[list[float], float]:
    """Heights of the slices, centred on the body, and the distance between them, mm."""
    usual, smallest, largest = _SPACING[section]
    extent = scene.top - scene.bottom
    count = slices or int(np.ceil(extent / usual))
    distance = usual if slices is None else min(max(extent / count, smallest), largest)
    distance = round(distance, 3)
    middle = (scene.top + scene.bottom) / 2
    first = middle - distance * (count - 1) / 2
    return [first + distance * i for i in range(count)], distance


@dataclass(frozen=True)
class _View:
    """How the scanner looks at the work plane."""

    rows: Neighbours
    columns: Neighbours
    pixel: float
    outside: npt.NDArray[np.bool_]  # beyond the circle that is reconstructed

    @classmethod
    def drawn(cls, scene: Scene, matrix: int, rng: np.random.Generator) -> _View:
        width = 2 * float(max(scene.columns[-1], scene.rows[-1]))
        pixel = round(width * rng.uniform(0.86, 1.1) / matrix, 4)
        centre = rng.uniform(-8, 8, 2)
        places = (np.arange(matrix, dtype=np.float32) - (matrix - 1) / 2) * np.float32(pixel)
        rows, columns = places + np.float32(centre[0]), places + np.float32(centre[1])
        radius = np.hypot(places[:, None], places[None, :])
        padded = rng.random() < 0.5
        outside = radius > places[-1] if padded else np.zeros(radius.shape, bool)
        return cls(
            Neighbours.of(scene.rows, rows),
            Neighbours.of(scene.columns, columns),
            pixel,
            outside,
        )

    def see(self, plane: Array) -> Array:
        return self.columns.rows_of(self.rows.rows_of(plane).T).T


def _scan(
    scene: Scene,
    heights: list[float],
    distance: float,
    matrix: int,
    rng: np.random.Generator,
    seed: int,
    anatomy: Anatomy,
) -> Phantom:
    view = _View.drawn(scene, matrix, rng)
    noise = _Noise(rng, matrix, distance)
    offset = rng.uniform(-10, 10)
    hu = np.empty((len(heights), matrix, matrix), np.int16)
    lung, lobes, lesion = (np.zeros(hu.shape, np.uint8) for _ in range(3))
    for index, height in enumerate(heights):
        plane, truth = _averaged(scene, height, distance)
        image = view.see(plane) + noise.plane() + np.float32(offset)
        image[view.outside] = _HU_MIN
        hu[index] = np.rint(np.clip(image, _HU_MIN, _HU_MAX)).astype(np.int16)
        if truth is not None and scene.lungs is not None:
            lung[index] = (view.see(truth.lung) > 0.5) & ~view.outside
            lesion[index] = _classes(view, truth) * lung[index]
            lobes[index] = _nearest(view, scene.lungs.lobes(height)) * lung[index]
    return Phantom(hu, lung, lobes, lesion, (distance, view.pixel, view.pixel), seed, anatomy)


def _averaged(scene: Scene, height: float, thickness: float) -> tuple[Array, Truth | None]:
    """What a slice of this thickness shows: the mean of planes through it."""
    count = max(1, round(thickness / _SUB_SECTION_MM))
    places = height + thickness * ((np.arange(count) + 0.5) / count - 0.5)
    sections = [scene.section(float(place)) for place in places]
    hu = _mean([section.hu for section in sections])
    truths = [section.truth for section in sections if section.truth is not None]
    if not truths:
        return hu, None
    return hu, Truth(
        _mean([truth.lung for truth in truths]),
        _mean([truth.lesion for truth in truths]),
        _mean([truth.consolidation for truth in truths]),
    )


def _mean(planes: list[Array]) -> Array:
    """Mean of the planes; the first one is overwritten."""
    total = planes[0]
    for plane in planes[1:]:
        total += plane
    total /= np.float32(len(planes))
    return total


def _classes(view: _View, truth: Truth) -> npt.NDArray[np.uint8]:
    if not truth.lesion.any():
        return np.zeros(view.outside.shape, np.uint8)
    lesion = (view.see(truth.lesion) > 0.5).astype(np.uint8)
    return lesion + (lesion & (view.see(truth.consolidation) > 0.5)).astype(np.uint8)


def _nearest(view: _View, labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Labels at the pixels, taken from the nearest point of the work plane that has one."""
    return np.asarray(labels[view.rows.nearest[:, None], view.columns.nearest[None, :]], np.uint8)


class _Noise:
    """Correlated noise, weaker in thick slices; a few planes, shifted at random."""

    def __init__(self, rng: np.random.Generator, matrix: int, thickness: float) -> None:
        self._rng = rng
        grain = rng.uniform(0.5, 1.1) * matrix / 512
        strength = rng.uniform(12, 38) / np.sqrt(max(thickness, 0.5))
        planes = rng.standard_normal((_NOISE_PLANES, matrix, matrix), np.float32)
        planes = gaussian_filter(planes, (0, grain, grain), mode="wrap")
        self._planes = planes * np.float32(strength / planes.std())

    def plane(self) -> Array:
        shift = self._rng.integers(0, self._planes.shape[1], 2)
        chosen = self._planes[self._rng.integers(0, _NOISE_PLANES)]
        return np.roll(chosen, tuple(int(s) for s in shift), axis=(0, 1))
