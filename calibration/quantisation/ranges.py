"""The one table of ranges from which every dialect is written."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engines.artefacts import ModelError

#: Levels of a magnitude in INT8, as NVIDIA's calibrator counts them.
_LEVELS = 128
_STEP = 16
METHODS = ("min-max", "entropy", "percentile 99.99", "percentile 99.999")


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers that a tensor must be able to hold; zero is always among them."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low <= 0 <= self.high:
            raise ValueError(f"a range holds 0, {self.low} .. {self.high} does not")

    @classmethod
    def around(cls, low: float, high: float) -> Range:
        """The range of some numbers and 0."""
        return cls(min(low, 0.0), max(high, 0.0))

    @property
    def magnitude(self) -> float:
        return max(-self.low, self.high)


@dataclass(frozen=True, slots=True)
class RangeTable:
    """The ranges of a network's tensors and where they come from.

    Parameters
    ----------
    reference
        SHA-256 of the fp32 file they were measured in.
    method
        One of :data:`METHODS`.
    cases
        Scans they were measured on.
    kept
        Layers that stay in fp32.
    tensors
        By name.
    """

    reference: str
    method: str
    cases: tuple[str, ...]
    tensors: Mapping[str, Range]
    kept: tuple[str, ...] = field(default=())

    def shared(self, names: Iterable[str]) -> Range:
        """The range that holds every one of some tensors; names not in the table are passed over.

        Raises
        ------
        ModelError
            When the table has none of them.
        """
        wanted = list(names)
        found = [self.tensors[name] for name in wanted if name in self.tensors]
        if not found:
            raise ModelError(f"the table of ranges has none of {wanted}")
        return Range(min(one.low for one in found), max(one.high for one in found))

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> RangeTable:
        """Read a table; ModelError when the file is none."""
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            tensors = {name: Range(**limits) for name, limits in fields["tensors"].items()}
            return cls(
                str(fields["reference"]),
                str(fields["method"]),
                tuple(fields["cases"]),
                tensors,
                tuple(fields["kept"]),
            )
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ModelError(f"{path}: no table of ranges: {error!r}") from error


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """How often a tensor had which value.

    Parameters
    ----------
    low, high
        Smallest and largest value that occurred.
    counts
        int64, of equal bins from `low` to `high`.
    """

    low: float
    high: float
    counts: npt.NDArray[np.int64]

    def range(self, method: str) -> Range:
        """The range by one of :data:`METHODS`.

        Raises
        ------
        ValueError
            When the method is unknown.
        """
        if method not in METHODS:
            raise ValueError(f"there is no method {method!r}, only {', '.join(METHODS)}")
        if method == "min-max" or self.low == self.high:
            return Range.around(self.low, self.high)
        if method == "entropy":
            limit = self._least_divergent()
            return Range.around(max(self.low, -limit), min(self.high, limit))
        return self._percentile(float(method.removeprefix("percentile ")))

    def _percentile(self, percent: float) -> Range:
        """Both ends cut so that so many percent of the values lie below (above) each."""
        below = np.cumsum(self.counts) / self.counts.sum()
        edges = np.linspace(self.low, self.high, len(self.counts) + 1)
        high = edges[1:][np.searchsorted(below, percent / 100)]
        low = edges[np.searchsorted(below, 1 - percent / 100, side="right")]
        return Range.around(float(low), float(high))

    def _least_divergent(self) -> float:
        """The magnitude at which cutting loses least information (Migacz, GTC 2017)."""
        counts, width = self._magnitudes()
        stops = range(_LEVELS, len(counts) + 1, _STEP)
        losses = [_divergence(counts, stop) for stop in stops]
        return width * stops[int(np.argmin(losses))]

    def _magnitudes(self) -> tuple[npt.NDArray[np.float64], float]:
        """Histogram of magnitudes, and the width of its bins; zeros count as their neighbours."""
        edges = np.linspace(self.low, self.high, len(self.counts) + 1)
        centres = np.abs((edges[:-1] + edges[1:]) / 2)
        bins = len(self.counts)
        width = max(-self.low, self.high) / bins
        places = np.minimum((centres / width).astype(np.int64), bins - 1)
        counts = np.bincount(places, self.counts, bins).astype(np.float64)
        counts[0] = min(counts[0], counts[1])
        return counts, width


def _divergence(counts: npt.NDArray[np.float64], stop: int) -> float:
    """Kullback-Leibler divergence between the cut histogram and the same in few levels."""
    kept = counts[:stop]
    reference = kept.copy()
    reference[-1] += counts[stop:].sum()
    levels = np.arange(stop) * _LEVELS // stop
    filled = kept > 0
    totals = np.bincount(levels, kept, _LEVELS)
    numbers = np.bincount(levels, filled, _LEVELS)
    share = np.divide(totals, numbers, out=np.zeros(_LEVELS), where=numbers > 0)
    candidate = np.where(filled, share[levels], 0.0)
    if not candidate.any() or not reference.any():
        return float("inf")
    p, q = reference / reference.sum(), candidate / candidate.sum()
    both = (p > 0) & (q > 0)
    lost = p[(p > 0) & (q == 0)].sum()
    return float((p[both] * np.log(p[both] / q[both])).sum() + lost * np.log(1e9))
