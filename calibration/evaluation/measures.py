"""Overlap of a found mask with its reference, and the differences of volume and HU.

References
----------
Shiri et al. 2021 (COLI-Net), "Evaluation": Dice, Jaccard, false negative and
positive, relative volume and mean HU differences.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Overlap:
    """Pixels in the found mask, in the reference, and in both."""

    found: int
    reference: int
    both: int

    @classmethod
    def of(cls, found: Mask, reference: Mask) -> Overlap:
        """Count two masks of one shape."""
        return cls(count(found), count(reference), count(found & reference))

    @property
    def dice(self) -> float | None:
        """2 |A and B| / (|A| + |B|); None where both are empty."""
        return _share(2 * self.both, self.found + self.reference)

    @property
    def jaccard(self) -> float | None:
        """|A and B| / |A or B|; None where both are empty."""
        return _share(self.both, self.found + self.reference - self.both)

    @property
    def false_negative(self) -> float | None:
        """The share of the reference that was missed; None where the reference is empty."""
        return _share(self.reference - self.both, self.reference)

    @property
    def false_positive(self) -> float | None:
        """The share of the found mask that is not in the reference; None where it is empty."""
        return _share(self.found - self.both, self.found)


def count(mask: Mask) -> int:
    """Pixels in a mask."""
    return int(np.count_nonzero(mask))


def percent_of(part: int, whole: int) -> float | None:
    """100 * `part` / `whole`; None without a whole."""
    return 100 * part / whole if whole else None


def percent_difference(found: float | None, reference: float | None) -> float | None:
    """100 * (found - reference) / |reference|: positive where too much (too dense) was found."""
    if found is None or not reference:
        return None
    return 100 * (found - reference) / abs(reference)


def mean_hu(hu: npt.NDArray[np.int16], mask: Mask) -> float | None:
    """Mean HU in a mask; None where it is empty."""
    inside = hu[mask]
    return float(inside.mean(dtype=np.float64)) if inside.size else None


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
