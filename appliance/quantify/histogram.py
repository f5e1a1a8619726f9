"""How HU are distributed: whole counts of one slice, and volumes of a scan."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

#: First HU of the first bin, width of a bin, and how many there are: -1024 to 256 HU.
FIRST_HU, BIN_HU, BINS = -1024, 16, 80
_SHIFT = BIN_HU.bit_length() - 1
_MM3_PER_ML = 1000.0


@dataclass(frozen=True, slots=True)
class HuCounts:
    """Pixels by HU. Bin i counts from FIRST_HU + i * BIN_HU, as `breathhold.v1.Histogram` does.

    Parameters
    ----------
    packed
        BINS unsigned 32-bit numbers, little-endian; empty where every bin is.
    """

    packed: bytes = b""

    @classmethod
    def of(cls, hu: npt.NDArray[np.int16]) -> HuCounts:
        """Count values, of any shape; those beyond the bins go to the first and the last."""
        if not hu.size:
            return cls()
        bins = np.clip((hu.ravel() >> _SHIFT) - (FIRST_HU >> _SHIFT), 0, BINS - 1)
        return cls(np.bincount(bins, minlength=BINS).astype("<u4").tobytes())

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Shape (BINS,)."""
        if not self.packed:
            return np.zeros(BINS, np.int64)
        return np.frombuffer(self.packed, "<u4").astype(np.int64)


NOTHING = HuCounts()


def volume_histogram(
    counts: Sequence[HuCounts], pixel_volumes_mm3: Sequence[float]
) -> tuple[float, ...]:
    """Volume of each bin, ml; the sums are exact to the last bit in whatever order they are made.

    Parameters
    ----------
    counts
        One a slice.
    pixel_volumes_mm3
        See :func:`appliance.quantify.scores.volumes`.
    """
    pairs = zip(counts, pixel_volumes_mm3, strict=True)
    weighted = [one.counts * size for one, size in pairs if one.packed]
    if not weighted:
        return (0.0,) * BINS
    return tuple(math.fsum(column) / _MM3_PER_ML for column in np.transpose(weighted))


def mean_hu(shares: Sequence[float]) -> float:
    """The mean of a distribution over the bins, each taken at its middle."""
    middles = FIRST_HU + BIN_HU * (np.arange(BINS) + 0.5)
    return math.fsum(middles * np.asarray(shares)) / math.fsum(shares)
