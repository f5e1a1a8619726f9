"""Counts of one slice, from which every score of the scan is summed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from appliance.quantify.histogram import NOTHING, HuCounts
from appliance.quantify.quality import UNMEASURED, SliceQuality

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
    lung_hu, lesion_hu
        The HU of lung (lesion included), and of lesion in lung.
    quality
        How good the image is; what nobody measured says nothing.
    """

    lung_px: int = 0
    lesion_px: int = 0
    high_opacity_px: int = 0
    lesion_hu_sum: int = 0
    lung_hu: HuCounts = NOTHING
    lesion_hu: HuCounts = NOTHING
    quality: SliceQuality = UNMEASURED


def high_opacity(
    hu: npt.NDArray[np.int16],
    lung: npt.NDArray[np.bool_],
    lesion: npt.NDArray[np.bool_],
    high_opacity_hu: int = HIGH_OPACITY_HU,
) -> npt.NDArray[np.bool_]:
    """The pixels that :func:`tally_slice` counts as high opacity; the same parameters."""
    found: npt.NDArray[np.bool_] = lesion & lung & (hu > high_opacity_hu)
    return found


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
    lung_hu, lesion_hu = hu[lung], hu[lesion & lung]
    return SliceTally(
        lung_px=int(lung_hu.size),
        lesion_px=int(lesion_hu.size),
        high_opacity_px=int(np.count_nonzero(lesion_hu > high_opacity_hu)),
        lesion_hu_sum=int(lesion_hu.sum(dtype=np.int64)),
        lung_hu=HuCounts.of(lung_hu),
        lesion_hu=HuCounts.of(lesion_hu),
    )
