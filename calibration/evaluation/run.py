"""Cases through the daemon's own engines, and what they measured."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from appliance.inference.volume import SliceResult, VolumeError, segment_volume
from appliance.quantify.scores import Scores, score, volumes
from appliance.quantify.tally import HIGH_OPACITY_HU
from appliance.scan.scan import ScanPolicy
from appliance.scan.stack import section_of
from calibration.evaluation.cases import Label, LabelledCase, slices_of
from calibration.evaluation.errors import EvaluationError
from calibration.evaluation.figures import CaseFigures, RegionFigures
from calibration.evaluation.measures import Mask, Overlap, count, mean_hu, percent_of
from calibration.evaluation.surfaces import surface_distances
from engines.segmenter import Segmenter
from engines.training.cases import UNLABELLED


@dataclass(frozen=True, eq=False)
class FoundMasks:
    """What the engines found in a case.

    Parameters
    ----------
    lung, lesion
        Shape (slices, rows, columns), foot to head; lesion lies inside lung.
    scores
        Of the whole scan, as the daemon counts them, however short the scan is.
    seconds
        Segmenting took.
    """

    lung: Mask
    lesion: Mask
    scores: Scores
    seconds: float


def evaluate_case(case: LabelledCase, segmenter: Segmenter, policy: ScanPolicy) -> CaseFigures:
    """Segment a case and compare what was found with its labels.

    Parameters
    ----------
    case
        Its labels may be missing or partial.
    segmenter, policy
        Warm engines, and how scans are cut for them (:func:`load_engines`).

    Raises
    ------
    EvaluationError
        When the case is no scan, or a slice is refused or cannot be inferred.
    """
    return compare(case, segment_case(case, segmenter, policy))


def segment_case(case: LabelledCase, segmenter: Segmenter, policy: ScanPolicy) -> FoundMasks:
    """Lung and lesion of a case; errors of :func:`evaluate_case`."""
    slices = slices_of(case)
    started = time.perf_counter()
    try:
        results = segment_volume(slices, segmenter, policy)
    except VolumeError as error:
        raise EvaluationError(f"{case.name}: {error}") from error
    seconds = time.perf_counter() - started
    return FoundMasks(
        np.stack([result.lung for result in results]),
        np.stack([result.lesion for result in results]),
        _scores(case, results),
        seconds,
    )


def compare(case: LabelledCase, found: FoundMasks) -> CaseFigures:
    """What was found in a case against its labels."""
    dz, dy, dx = case.spacing_mm
    both = (case.lung != UNLABELLED) & (case.lesion != UNLABELLED)
    dense = case.hu > HIGH_OPACITY_HU
    po, pho = found.scores.po, found.scores.pho
    if both.any():
        po, pho = _opacity(found.lesion & both, found.lung & both, dense)
    po_reference, pho_reference = _opacity(
        (case.lesion == 1) & both, (case.lung == 1) & both, dense
    )
    return CaseFigures(
        case=case.name,
        section=section_of(dz).value,
        spacing_mm=dz,
        pixel_mm=(dy + dx) / 2,
        slices=len(case.hu),
        slices_with_both_labels=count(both.any(axis=(1, 2))),
        lesion=_region(case, found.lesion, case.lesion),
        lung=_region(case, found.lung, case.lung),
        po=po,
        po_reference=po_reference,
        pho=pho,
        pho_reference=pho_reference,
        po_whole=found.scores.po,
        pho_whole=found.scores.pho,
        ihu_whole=found.scores.volumes.ihu,
        dice_lesion_b=_dice(found.lesion, case.lesion_b),
        dice_annotators=_dice(case.lesion == 1, case.lesion_b, case.lesion),
        seconds=found.seconds,
    )


def _scores(case: LabelledCase, results: list[SliceResult]) -> Scores:
    tallies = [result.tally for result in results]
    return score(volumes(tallies, [case.pixel_ml * 1000] * len(tallies)))


def _region(case: LabelledCase, found: Mask, label: Label) -> RegionFigures:
    known = label != UNLABELLED
    if not known.any():
        return RegionFigures()
    found, reference = found & known, label == 1
    overlap = Overlap.of(found, reference)
    distances = surface_distances(found, reference, known.any(axis=(1, 2)), case.spacing_mm)
    return RegionFigures(
        dice=overlap.dice,
        jaccard=overlap.jaccard,
        false_negative=overlap.false_negative,
        false_positive=overlap.false_positive,
        average_hausdorff_mm=distances.average_hausdorff_mm,
        mean_surface_distance_mm=distances.mean_surface_mm,
        volume_ml=overlap.found * case.pixel_ml,
        volume_reference_ml=overlap.reference * case.pixel_ml,
        hu=mean_hu(case.hu, found),
        hu_reference=mean_hu(case.hu, reference),
    )


def _opacity(lesion: Mask, lung: Mask, dense: Mask) -> tuple[float | None, float | None]:
    """PO and PHO of masks, percent."""
    pixels = count(lung)
    return percent_of(count(lesion), pixels), percent_of(count(lesion & dense), pixels)


def _dice(found: Mask, label: Label | None, other: Label | None = None) -> float | None:
    """Dice over what `label`, and `other` where there is one, know."""
    if label is None:
        return None
    known = label != UNLABELLED
    if other is not None:
        known &= other != UNLABELLED
    return Overlap.of(found & known, (label == 1) & known).dice
