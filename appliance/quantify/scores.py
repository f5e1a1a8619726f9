"""PO, PHO, POI, iHU and volumes of a scan."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.quantify.tally import SliceTally

#: Less lung than this in the whole scan is no lung at all, ml.
MINIMUM_LUNG_ML = 200.0
_MM3_PER_ML = 1000.0


class NoScore(enum.Enum):
    """Why there is no score; never reported as 0 %."""

    NO_LUNG = "no lung found"
    TOO_SHORT = "too few slices to be a chest CT"
    NO_SLICES = "no slice was accepted"
    PENDING = "too little lung was seen so far"


@dataclass(frozen=True, slots=True)
class Volumes:
    """Volumes of a scan in ml and the mean HU of its lesion (None without lesion)."""

    lung_ml: float = 0.0
    lesion_ml: float = 0.0
    high_opacity_ml: float = 0.0
    ihu: float | None = None


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of a scan; `po`, `pho` (percent) and `poi` (fraction) are None without a score."""

    volumes: Volumes
    po: float | None = None
    pho: float | None = None
    poi: float | None = None
    no_score: NoScore | None = None


def volumes(tallies: Sequence[SliceTally], pixel_volumes_mm3: Sequence[float]) -> Volumes:
    """Sum slices to volumes.

    Parameters
    ----------
    tallies
        One a slice.
    pixel_volumes_mm3
        For each slice the volume one of its pixels stands for: pixel area
        times the distance between slice positions (not SliceThickness).
    """
    pairs = list(zip(tallies, pixel_volumes_mm3, strict=True))
    lesion_mm3 = sum(tally.lesion_px * size for tally, size in pairs)
    return Volumes(
        lung_ml=sum(tally.lung_px * size for tally, size in pairs) / _MM3_PER_ML,
        lesion_ml=lesion_mm3 / _MM3_PER_ML,
        high_opacity_ml=sum(tally.high_opacity_px * size for tally, size in pairs) / _MM3_PER_ML,
        ihu=mean_lesion_hu(pairs, lesion_mm3),
    )


def mean_lesion_hu(pairs: Sequence[tuple[SliceTally, float]], lesion_mm3: float) -> float | None:
    """iHU: mean HU inside the lesion, weighted by volume (Li, Zhong et al. 2020).

    None when there is no lesion.
    """
    if lesion_mm3 <= 0:
        return None
    return sum(tally.lesion_hu_sum * size for tally, size in pairs) / lesion_mm3


def percentage_of_opacity(volume: Volumes) -> float:
    """PO = 100 * lesion volume / lung volume, percent (Chaganti et al. 2020)."""
    return 100.0 * volume.lesion_ml / volume.lung_ml


def percentage_of_high_opacity(volume: Volumes) -> float:
    """PHO = 100 * volume of lesion above -200 HU / lung volume (Chaganti et al. 2020)."""
    return 100.0 * volume.high_opacity_ml / volume.lung_ml


def portion_of_infection(volume: Volumes) -> float:
    """POI = infection volume / lung volume, a fraction (Shan et al.; Li, Zhong et al. 2020)."""
    return volume.lesion_ml / volume.lung_ml


def score(volume: Volumes, minimum_lung_ml: float = MINIMUM_LUNG_ML) -> Scores:
    """All scores of a scan; without enough lung there is no score, and it says so."""
    if volume.lung_ml < minimum_lung_ml:
        return Scores(volume, no_score=NoScore.NO_LUNG)
    return Scores(
        volume,
        po=percentage_of_opacity(volume),
        pho=percentage_of_high_opacity(volume),
        poi=portion_of_infection(volume),
    )
