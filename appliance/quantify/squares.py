"""A slice in small squares: sums over each, in whole numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

#: Side of a square, mm; rather more than less, so that noise does not show in its mean.
SQUARE_MM = 4.2
#: A square within which every pixel is above this holds neither air nor a share of lung, HU.
TISSUE_HU = -250
#: Squares so far from lung are near it (about 25 mm).
NEAR = 6
#: What lies within so many squares of an edge of the body is on its skin (about 10 mm).
_SKIN = 2
_LOWEST_HU, _HIGHEST_HU = -1024, 2047
_MOST_PIXELS, _SPARE_PIXELS = 22, 0.25

Counts = npt.NDArray[np.int32]
Map = npt.NDArray[np.bool_]
_T = TypeVar("_T", bound=np.generic)


@dataclass(frozen=True, eq=False)
class Squares:
    """One slice in squares; arrays of shape (square rows, square columns).

    Parameters
    ----------
    pixels
        Of one square.
    total, total_of_squares
        Sum of the HU of a square, and of their squares; HU beyond -1024 and 2047 count
        as these.
    lung
        Pixels of lung.
    tissue
        Squares whose every pixel is above TISSUE_HU.
    """

    pixels: int
    total: Counts
    total_of_squares: Counts
    lung: Counts
    tissue: Map

    @classmethod
    def of(
        cls,
        hu: npt.NDArray[np.int16],
        lung: npt.NDArray[np.bool_],
        spacing_mm: tuple[float, float],
    ) -> Squares:
        """Sum up a slice; what does not fill a square at its far edges is left out.

        Parameters
        ----------
        hu, lung
            Shape (rows, columns).
        spacing_mm
            Between rows, and between columns; the finer one says how many pixels a
            square has.
        """
        side = math.ceil(SQUARE_MM / min(spacing_mm) - _SPARE_PIXELS)
        side = min(max(2, side), _MOST_PIXELS)
        clipped = np.clip(hu, _LOWEST_HU, _HIGHEST_HU)
        total, total_of_squares = _moments(clipped, side)
        air = _count(clipped <= TISSUE_HU, side)
        return cls(side * side, total, total_of_squares, _count(lung, side), air == 0)

    def below(self, hu: int) -> Map:
        """Squares with a mean below a value."""
        return self.total < hu * self.pixels

    @cached_property
    def any_lung(self) -> Map:
        return self.lung > 0

    @property
    def inner_lung(self) -> Map:
        """Squares that are all lung, as are all their neighbours."""
        return ~grown(self.lung < self.pixels)

    @cached_property
    def off_lung(self) -> Map:
        """Squares of tissue with neither lung nor air in them or their neighbours."""
        return ~grown(~self.tissue)

    @property
    def near_lung(self) -> Map:
        return grown(self.any_lung, NEAR)

    @property
    def inside(self) -> Map:
        """Squares in the body, not on its skin: tissue lies further out on all four sides."""
        found = np.ones(self.tissue.shape, np.bool_)
        for axis in (0, 1):
            for view, seen in (
                (found, self.tissue),
                (np.flip(found, axis), np.flip(self.tissue, axis)),
            ):
                before = np.logical_or.accumulate(seen, axis=axis)
                out = [slice(None)] * 2
                out[axis] = slice(None, _SKIN)
                view[tuple(out)] = False
                out[axis], shifted = slice(_SKIN, None), [slice(None)] * 2
                shifted[axis] = slice(None, -_SKIN)
                view[tuple(out)] &= before[tuple(shifted)]
        return found


def count_in_squares(plane: Map, squares: Squares) -> Counts:
    """True pixels of each square, of a plane that these squares were made of."""
    return _count(plane, math.isqrt(squares.pixels))


def grown(region: Map, squares: int = 1) -> Map:
    """A region and every square up to so many steps (side by side or on end) from it."""
    found = region.copy()
    for _ in range(squares):
        before = found.copy()
        found[1:] |= before[:-1]
        found[:-1] |= before[1:]
        found[:, 1:] |= before[:, :-1]
        found[:, :-1] |= before[:, 1:]
    return found


def _moments(plane: npt.NDArray[np.int16], side: int) -> tuple[Counts, Counts]:
    """Sums of the values, and of their squares, over squares of so many pixels a side."""
    strips = _strips(plane, side)
    total = np.zeros((strips.shape[0], strips.shape[2]), np.int32)
    of_squares = np.zeros_like(total)
    for k in range(side):
        row = strips[:, k].astype(np.int32)
        total += row
        row *= row
        of_squares += row
    return _across(total, side), _across(of_squares, side)


def _count(plane: Map, side: int) -> Counts:
    """True pixels of each square of so many pixels a side."""
    strips = _strips(plane, side).view(np.uint8)
    total = np.zeros((strips.shape[0], strips.shape[2]), np.uint8)
    for k in range(side):
        total += strips[:, k]
    return _across(total, side)


def _strips(plane: npt.NDArray[_T], side: int) -> npt.NDArray[_T]:
    """Rows of squares, shape (square rows, side, columns)."""
    rows, columns = plane.shape[0] // side, plane.shape[1] // side
    return plane[: rows * side, : columns * side].reshape(rows, side, columns * side)


def _across(strips: npt.NDArray[np.integer[Any]], side: int) -> Counts:
    """Strips summed over so many columns each; column by column, which is the fast way."""
    total = np.zeros((strips.shape[0], strips.shape[1] // side), np.int32)
    for k in range(side):
        total += strips[:, k::side]
    return total
