"""Slices of labelled scans, at rest, moved and with noise, as the daemon measures them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from zlib import crc32

import numpy as np
import numpy.typing as npt

from appliance.quantify.movement import (
    DARK_LUNG_SHARE,
    DARK_TISSUE_SHARE,
    MotionCounts,
)
from appliance.quantify.quality import SliceQuality, measure_slice
from appliance.scan.scan import ScanPolicy
from calibration.evaluation import LabelledCase, segment_case
from calibration.quality.motion import Motion, Movement, moved_slice
from calibration.quality.noise import noisier
from engines.segmenter import Segmenter

#: Lung of a slice that is taken, pixels; and how far from the scan's ends it lies.
_LEAST_LUNG_PX, _FROM_END = 2000, 2


@dataclass(frozen=True, slots=True)
class Taken:
    """One slice as measured.

    Parameters
    ----------
    case, patient, index
        Which slice.
    motion
        What moved; None for the slice as it is in the scan, amplitude 0 for one projected
        and reconstructed at rest.
    counts
        Dark squares.
    po
        Percent of the slice's lung that was called lesion.
    """

    case: str
    patient: str
    index: int
    motion: Motion | None
    counts: MotionCounts
    po: float

    @property
    def score(self) -> float:
        """How far a slice is beyond both thresholds; 1 is on one of them."""
        counts = self.counts
        if not counts.says_something:
            return 0.0
        lung = counts.dark_lung / counts.lung / DARK_LUNG_SHARE
        return min(lung, counts.dark_tissue / counts.tissue / DARK_TISSUE_SHARE)


@dataclass(frozen=True, slots=True)
class Noisy:
    """One slice with noise added to what it has.

    Parameters
    ----------
    case, index
        Which slice.
    added_hu
        Standard deviation; 0 for the slice as it is.
    quality
        As measured.
    po
        Percent of the slice's lung that was called lesion.
    """

    case: str
    index: int
    added_hu: float
    quality: SliceQuality
    po: float


class Scanner:
    """Takes slices with the shipped models' masks, as a scan of one slice.

    Parameters
    ----------
    segmenter, policy
        See :func:`calibration.evaluation.load_engines`.
    """

    def __init__(self, segmenter: Segmenter, policy: ScanPolicy) -> None:
        self._segmenter, self._policy = segmenter, policy

    def take(
        self, case: LabelledCase, patient: str, slices: int, amplitudes_mm: Sequence[float]
    ) -> Iterator[Taken]:
        """Some slices of a case as they are, at rest, and with each movement."""
        rng = np.random.default_rng(crc32(case.name.encode()))
        for index in spread_slices(case, slices):
            dz, dy, _ = case.spacing_mm
            quality, po = self._measured(case, index, case.hu[index])
            yield Taken(case.name, patient, index, None, quality.motion, po)
            for motion in motions(amplitudes_mm, rng):
                hu = moved_slice(case.hu, case.lung[index] == 1, index, (dz, dy), motion)
                quality, po = self._measured(case, index, hu)
                yield Taken(case.name, patient, index, motion, quality.motion, po)

    def take_noisy(
        self, case: LabelledCase, slices: int, added_hu: Sequence[float]
    ) -> Iterator[Noisy]:
        """Some slices of a case as they are, and with each noise."""
        rng = np.random.default_rng(crc32(case.name.encode()))
        for index in spread_slices(case, slices):
            for added in (0.0, *added_hu):
                hu = noisier(case.hu[index], added, rng) if added else case.hu[index]
                yield Noisy(case.name, index, added, *self._measured(case, index, hu))

    def _measured(
        self, case: LabelledCase, index: int, hu: npt.NDArray[np.int16]
    ) -> tuple[SliceQuality, float]:
        """The quality of an image in place of a slice, and the PO found in it."""
        label = slice(index, index + 1)
        alone = replace(
            case, hu=hu[None], lesion=case.lesion[label], lung=case.lung[label], lesion_b=None
        )
        found = segment_case(alone, self._segmenter, self._policy)
        lung = found.lung[0].astype(np.bool_)
        lung_px, lesion_px = int(lung.sum()), int(np.count_nonzero(found.lesion[0]))
        quality = measure_slice(hu, lung, case.spacing_mm[1:])
        return quality, 100.0 * lesion_px / max(lung_px, 1)


def motions(amplitudes_mm: Sequence[float], rng: np.random.Generator) -> list[Motion]:
    """Rest, and each movement with each amplitude in a direction drawn at random."""
    return [
        Motion(Movement.BREATH, 0.0),
        *(
            Motion(movement, amplitude, float(rng.uniform(0, 2 * np.pi)))
            for movement in Movement
            for amplitude in amplitudes_mm
        ),
    ]


def spread_slices(case: LabelledCase, count: int) -> list[int]:
    """Slices spread evenly over those with a full lung label, none at the scan's ends."""
    lung = case.lung == 1
    known = (case.lung <= 1).all(axis=(1, 2))
    usable = np.flatnonzero(known & (lung.sum(axis=(1, 2)) >= _LEAST_LUNG_PX))
    usable = usable[(usable >= _FROM_END) & (usable < len(lung) - _FROM_END)]
    if not usable.size:
        return []
    places = np.linspace(0, usable.size - 1, count + 2)[1:-1]
    return sorted({int(usable[round(place)]) for place in places})
