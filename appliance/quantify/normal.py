"""A lung's HU against those of normal lungs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from appliance.quantify.histogram import BIN_HU, BINS, FIRST_HU


@dataclass(frozen=True, slots=True)
class NormalReference:
    """How HU are distributed in normal lungs.

    Parameters
    ----------
    name
        What a report calls it.
    made_of
        What it was made of, in words.
    scans
        How many scans; each counts the same, however large its lungs.
    shares
        Share of the lung in each bin of :mod:`appliance.quantify.histogram`; they sum to 1.

    Raises
    ------
    ValueError
        When the name is empty or the shares are no distribution over the bins.
    """

    name: str
    made_of: str
    scans: int
    shares: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a normal reference needs a name")
        if self.scans < 1:
            raise ValueError("a normal reference is made of at least one scan")
        if len(self.shares) != BINS:
            raise ValueError(
                f"a normal reference has {BINS} bins of {BIN_HU} HU from {FIRST_HU} HU on, "
                f"not {len(self.shares)}"
            )
        if min(self.shares) < 0 or not math.isclose(math.fsum(self.shares), 1, abs_tol=1e-6):
            raise ValueError("the shares of a normal reference must be 0 or more and sum to 1")


@dataclass(frozen=True, slots=True)
class NormalComparison:
    """How far a lung's HU lie from a reference; see :func:`hellinger_distance` and the other."""

    hellinger: float
    intersection_over_union: float
    reference: str


def average_reference(
    name: str, made_of: str, histograms: Sequence[Sequence[float]]
) -> NormalReference:
    """A reference made of scans, each counted the same.

    Parameters
    ----------
    histograms
        One a scan: volume, or pixels, of each bin.

    Raises
    ------
    ValueError
        When there is no scan, or one has no lung.
    """
    shares = [_shares(histogram) for histogram in histograms]
    if not shares:
        raise ValueError("a normal reference is made of at least one scan")
    mean = np.mean(shares, axis=0)
    return NormalReference(name, made_of, len(shares), tuple((mean / mean.sum()).tolist()))


def compare_with_normal(
    lung: Sequence[float], reference: NormalReference
) -> NormalComparison | None:
    """A lung against a reference (Pan et al. 2020); None without lung.

    Parameters
    ----------
    lung
        Volume of each bin, lesion included.
    """
    if not any(lung):
        return None
    found, normal = _shares(lung), np.asarray(reference.shares)
    return NormalComparison(
        hellinger_distance(found, normal), intersection_over_union(found, normal), reference.name
    )


def hellinger_distance(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    """sqrt(1 - sum(sqrt(p q))) of two distributions: 0 for equal ones, 1 for disjoint ones.

    Kitsos and Toulas 2017, as Pan et al. 2020 use it.
    """
    return math.sqrt(max(0.0, 1 - math.fsum(np.sqrt(one * other))))


def intersection_over_union(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    """sum(min(p, q)) / sum(max(p, q)) of two distributions: 1 for equal ones, 0 for disjoint ones.

    Pan et al. 2020.
    """
    return math.fsum(np.minimum(one, other)) / math.fsum(np.maximum(one, other))


def _shares(histogram: Sequence[float]) -> npt.NDArray[np.float64]:
    values = np.asarray(histogram, np.float64)
    if values.shape != (BINS,) or values.min() < 0 or not values.sum() > 0:
        raise ValueError(f"a histogram has {BINS} bins, none negative and some of them not 0")
    return values / math.fsum(values)
