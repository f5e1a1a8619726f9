"""Parts of the lung: lobes, sides, segments, and how much of each is affected."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

#: Pixels of one slice by kind (lung, lesion, high opacity) and label, shape (3, labels);
#: label 0 is what lies in no region.
RegionCounts = npt.NDArray[np.int64]

_MM3_PER_ML = 1000.0
_SIDES = ("right", "left")


@dataclass(frozen=True, slots=True, eq=False)
class RegionTallies:
    """Counts of some slices, and the names of the labels from 1 on."""

    names: tuple[str, ...]
    slices: tuple[RegionCounts, ...]


@dataclass(frozen=True, slots=True)
class Region:
    """A part of the lung; volumes in ml, lung includes lesion, lesion includes high opacity.

    `po`, `pho` (percent) and `poi` (fraction) are those of :mod:`appliance.quantify.scores`
    within the region; None where there is nothing of it.
    """

    name: str
    lung_ml: float
    lesion_ml: float
    high_opacity_ml: float

    @property
    def po(self) -> float | None:
        return 100 * self.lesion_ml / self.lung_ml if self.lung_ml else None

    @property
    def pho(self) -> float | None:
        return 100 * self.high_opacity_ml / self.lung_ml if self.lung_ml else None

    @property
    def poi(self) -> float | None:
        """Portion of infection of a lobe or segment (Shan, Gao et al. 2020)."""
        return self.lesion_ml / self.lung_ml if self.lung_ml else None


def count_regions(
    labels: npt.NDArray[np.uint8], kinds: Iterable[npt.NDArray[np.integer]], regions: int
) -> RegionCounts:
    """Count one slice.

    Parameters
    ----------
    labels
        Which region each cell belongs to, 1 to `regions`, 0 for none.
    kinds
        Pixels of lung, of lesion, and of high opacity in each cell, shape of `labels`.
    regions
        How many there are.
    """
    counts = []
    for cells in kinds:
        filled = np.flatnonzero(cells != 0)
        pixels = np.take(cells, filled)
        counts.append(np.bincount(np.take(labels, filled), pixels, regions + 1))
    return np.array(counts).astype(np.int64)


def sum_regions(
    names: Sequence[str], slices: Sequence[RegionCounts], pixel_volumes_mm3: Sequence[float]
) -> tuple[Region, ...]:
    """Sum slices to the regions of a scan; in whatever order, to the last bit.

    Parameters
    ----------
    names
        Of the labels from 1 on.
    slices
        One a slice.
    pixel_volumes_mm3
        See :func:`appliance.quantify.scores.volumes`.
    """
    weighted = [counts * size for counts, size in zip(slices, pixel_volumes_mm3, strict=True)] or [
        np.zeros((3, len(names) + 1))
    ]
    by_label = np.transpose(weighted, (2, 1, 0))
    return tuple(
        Region(name, *(math.fsum(kind) / _MM3_PER_ML for kind in kinds))
        for name, kinds in zip(names, by_label[1:], strict=True)
    )


def sum_sides(lobes: Sequence[Region]) -> tuple[Region, ...]:
    """Right and left lung, each the sum of its lobes, which are named by their side."""
    return tuple(
        _united(f"{side}_lung", [lobe for lobe in lobes if lobe.name.startswith(f"{side}_")])
        for side in _SIDES
    )


def _united(name: str, parts: Sequence[Region]) -> Region:
    return Region(
        name,
        math.fsum(part.lung_ml for part in parts),
        math.fsum(part.lesion_ml for part in parts),
        math.fsum(part.high_opacity_ml for part in parts),
    )
