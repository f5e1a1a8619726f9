"""Slices in the order of the patient, whatever order they came in."""

from __future__ import annotations

import bisect
import enum
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: Two slices nearer than this lie at one position, mm.
SAME_POSITION_MM = 0.1
#: A step this many times the scan's spacing is a gap.
_GAP = 1.5
#: Steps that differ from the spacing by more than this share are uneven.
_UNEVEN = 0.1

THIN_MM = 1.5
THICK_MM = 5.0
#: Nominally 5 mm sections are placed to a rounding error.
_ROUNDING_MM = 0.05


class Section(enum.Enum):
    """Class of slice spacing."""

    THIN = "thin"
    MEDIUM = "medium"
    THICK = "thick"


def section_of(spacing_mm: float) -> Section:
    """Thin to 1.5 mm, thick from 5 mm, medium between."""
    if spacing_mm <= THIN_MM + _ROUNDING_MM:
        return Section.THIN
    return Section.THICK if spacing_mm >= THICK_MM - _ROUNDING_MM else Section.MEDIUM


@dataclass(frozen=True, slots=True)
class Gap:
    """`count` slices are missing between the positions `from_mm` and `to_mm`."""

    from_mm: float
    to_mm: float
    count: int


class Stack:
    """Positions along the patient axis, foot to head, each with the id of its slice."""

    def __init__(self) -> None:
        self._positions: list[float] = []
        self._ids: list[str] = []

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def positions(self) -> Sequence[float]:
        return self._positions

    @property
    def ids(self) -> Sequence[str]:
        return self._ids

    def taken_by(self, position_mm: float) -> str | None:
        """The slice that lies at this position already."""
        nearest = self.nearest(position_mm)
        if nearest is None or abs(self._positions[nearest] - position_mm) >= SAME_POSITION_MM:
            return None
        return self._ids[nearest]

    def insert(self, position_mm: float, slice_id: str) -> int:
        """Put a slice in its place and return its index."""
        index = bisect.bisect_left(self._positions, position_mm)
        self._positions.insert(index, position_mm)
        self._ids.insert(index, slice_id)
        return index

    def nearest(self, position_mm: float, low: int = 0, high: int | None = None) -> int | None:
        """Index of the slice nearest to a position among [low, high); the lower of two as near."""
        high = len(self._positions) if high is None else high
        if low >= high:
            return None
        right = bisect.bisect_left(self._positions, position_mm, low, high)
        candidates = [index for index in (right - 1, right) if low <= index < high]
        return min(candidates, key=lambda index: (abs(self._positions[index] - position_mm), index))

    def within(self, low_mm: float, high_mm: float) -> range:
        """Indices of the slices in the closed interval."""
        return range(
            bisect.bisect_left(self._positions, low_mm),
            bisect.bisect_right(self._positions, high_mm),
        )

    @property
    def steps(self) -> list[float]:
        """Distances between neighbouring slices, mm."""
        return np.diff(self._positions).tolist() if len(self) > 1 else []

    @property
    def spacing_mm(self) -> float | None:
        """The scan's spacing: the median step, rounded to a micrometre; None below two slices."""
        steps = self.steps
        return round(float(np.median(steps)), 3) if steps else None

    @property
    def extent_mm(self) -> float:
        """From the lowest to the highest slice position."""
        return self._positions[-1] - self._positions[0] if self._positions else 0.0

    def gaps(self) -> list[Gap]:
        """Where slices are missing, foot to head."""
        spacing = self.spacing_mm
        if spacing is None:
            return []
        pairs = zip(self._positions[:-1], self._positions[1:], strict=True)
        return [
            Gap(low, high, max(1, round((high - low) / spacing) - 1))
            for low, high in pairs
            if high - low > _GAP * spacing
        ]

    def uneven(self) -> bool:
        """True when steps other than gaps differ from the spacing by more than a tenth."""
        spacing = self.spacing_mm
        if spacing is None:
            return False
        plain = [step for step in self.steps if step <= _GAP * spacing]
        return any(abs(step - spacing) > _UNEVEN * spacing for step in plain)

    def lengths_mm(self, alone_mm: float = 0.0) -> list[float]:
        """How much of the patient axis each slice stands for.

        Half of the way to each neighbour; across a gap, and at both ends, half
        of the scan's spacing: what is missing is not interpolated over.

        Parameters
        ----------
        alone_mm
            The length of a slice that has no neighbour.
        """
        spacing = self.spacing_mm
        if spacing is None:
            return [alone_mm] * len(self)
        halves = [min(step, spacing if step > _GAP * spacing else step) / 2 for step in self.steps]
        below = [spacing / 2, *halves]
        above = [*halves, spacing / 2]
        return [low + high for low, high in zip(below, above, strict=True)]
