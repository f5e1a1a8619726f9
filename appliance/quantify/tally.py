"""Counts of one slice, from which every score of the scan is summed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

#: Lesion above this is high opacity (Chaganti et al. 2020: consolidation), HU.
HIGH_OPACITY_HU = -200


@dataclass(frozen=True, slots=True)
class SliceTally:
    """What one slice adds to the scores; whole numbers, so sums are exact.

    Parameters
    ----------
    lung_px, lesion_px, high_opacity_px
        Pixels of lung (lesion included), of lesion in lung, and of lesion
        above the high-opacity threshold.
    lesion_hu_sum
        Sum of HU over the lesion pixels.
    """

    lung_px: int = 0
    lesion_px: int = 0
    high_opacity_px: int = 0
    lesion_hu_sum: int = 0


def tally_slice(
    hu: npt.NDArray[np.int16],
    lung: npt.NDArray[np.bool_],
    lesion: npt.NDArray[np.bool_],
    high_opacity_hu: int = HIGH_OPACITY_HU,
) -> SliceTally:
    """Count one slice.

    Parameters
    ----------
    hu
        Hounsfield units, shape (rows, columns).
    lung, lesion
        Masks of the same shape; lesion outside lung is not counted.
    high_opacity_hu
        Lesion strictly above this is high opacity.

    Raises
    ------
    ValueError
        When the shapes differ.
    """
    if not hu.shape == lung.shape == lesion.shape:
        raise ValueError(f"shapes differ: HU {hu.shape}, lung {lung.shape}, lesion {lesion.shape}")
    inside = hu[lesion & lung]
    return SliceTally(
        lung_px=int(np.count_nonzero(lung)),
        lesion_px=int(inside.size),
        high_opacity_px=int(np.count_nonzero(inside > high_opacity_hu)),
        lesion_hu_sum=int(inside.sum(dtype=np.int64)),
    )
