"""Coarse planes: what whole-scan models see of a slice, small enough to be held for every slice."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engines.preprocess import Plane

CoarsePlane = npt.NDArray[np.uint8]

#: Rows and columns of a coarse plane.
COARSE = 128


def coarse_plane(plane: Plane) -> CoarsePlane:
    """A prepared plane, in [0, 1], with fewer pixels and in 255 steps, shape (COARSE, COARSE).

    The mean of as many pixels as fall onto one where their number is whole, else the
    nearest of them.
    """
    rows, columns = plane.shape
    small = plane if rows % COARSE or columns % COARSE else _means(plane)
    nearest = small.take(_nearest(small.shape[0]), 0).take(_nearest(small.shape[1]), 1)
    coarse: CoarsePlane = np.rint(nearest * np.float32(255)).astype(np.uint8)
    return coarse


def _means(plane: Plane) -> Plane:
    down, across = plane.shape[0] // COARSE, plane.shape[1] // COARSE
    total = np.zeros((COARSE, COARSE), np.float32)
    for row in range(down):
        for column in range(across):
            total += plane[row::down, column::across]
    total /= np.float32(down * across)
    return total


def _nearest(size: int) -> npt.NDArray[np.intp]:
    """For each pixel of a coarse plane, the index of the pixel at its middle."""
    return ((2 * np.arange(COARSE, dtype=np.intp) + 1) * size) // (2 * COARSE)
