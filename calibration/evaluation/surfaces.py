"""Distances between a found mask and its reference, mm, where only some slices are labelled.

A slice that nobody labelled holds no pixel of either mask, and the cut beside it
is no surface: contours are drawn in each run of consecutive labelled slices.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk  # noqa: N813 - as SimpleITK's own documentation calls it

from calibration.evaluation.measures import Mask

Spacing = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class SurfaceDistances:
    """Distances of two masks, mm; None where one of them is empty.

    Parameters
    ----------
    average_hausdorff_mm
        Mean over the voxels of each mask of the distance to the other mask (0 in
        the overlap), averaged over both directions (ITK's average Hausdorff distance).
    mean_surface_mm
        Mean over the contour voxels of both masks of the distance to the other's contour.
    """

    average_hausdorff_mm: float | None = None
    mean_surface_mm: float | None = None


def surface_distances(
    found: Mask, reference: Mask, labelled: Mask, spacing_mm: Spacing
) -> SurfaceDistances:
    """Distances over the labelled slices.

    Parameters
    ----------
    found, reference
        Shape (slices, rows, columns).
    labelled
        Which slices carry the label, shape (slices,).
    spacing_mm
        Between slices, rows and columns.
    """
    known = labelled[:, None, None]
    found, reference = found & known, reference & known
    if not found.any() or not reference.any():
        return SurfaceDistances()
    box = _bounding_box(found | reference)
    found, reference, labelled = found[box], reference[box], labelled[box[0]]
    return SurfaceDistances(
        _average_hausdorff(found, reference, spacing_mm),
        _mean_surface_distance(
            _contour(found, labelled), _contour(reference, labelled), spacing_mm
        ),
    )


def _average_hausdorff(found: Mask, reference: Mask, spacing_mm: Spacing) -> float:
    measure = sitk.HausdorffDistanceImageFilter()
    measure.Execute(_image(found, spacing_mm), _image(reference, spacing_mm))
    return float(measure.GetAverageHausdorffDistance())


def _mean_surface_distance(one: Mask, other: Mask, spacing_mm: Spacing) -> float:
    there = _distance_to(other, spacing_mm)[one]
    back = _distance_to(one, spacing_mm)[other]
    return float(np.concatenate((there, back)).mean(dtype=np.float64))


def _distance_to(contour: Mask, spacing_mm: Spacing) -> npt.NDArray[np.float32]:
    distances = sitk.SignedMaurerDistanceMap(
        _image(contour, spacing_mm), squaredDistance=False, useImageSpacing=True
    )
    outside: npt.NDArray[np.float32] = np.maximum(sitk.GetArrayFromImage(distances), 0)
    return outside


def _contour(mask: Mask, labelled: Mask) -> Mask:
    contour = np.zeros_like(mask)
    for run in _runs(labelled):
        drawn = sitk.LabelContour(_image(np.pad(mask[run], ((0, 0), (1, 1), (1, 1)))))
        contour[run] = sitk.GetArrayViewFromImage(drawn)[:, 1:-1, 1:-1] > 0
    return contour


def _runs(labelled: Mask) -> Iterator[slice]:
    """Runs of consecutive labelled slices."""
    edges = np.flatnonzero(np.diff(np.pad(labelled.astype(np.int8), 1)))
    yield from (slice(first, last) for first, last in edges.reshape(-1, 2).tolist())


def _bounding_box(mask: Mask) -> tuple[slice, ...]:
    """Around all that is set, one slice wider along the patient: a neighbour shows an end."""
    bounds = []
    for axis in range(mask.ndim):
        across = tuple(other for other in range(mask.ndim) if other != axis)
        (places,) = np.nonzero(mask.any(axis=across))
        margin = 1 if axis == 0 else 0
        first = max(0, int(places[0]) - margin)
        bounds.append(slice(first, int(places[-1]) + 1 + margin))
    return tuple(bounds)


def _image(mask: Mask, spacing_mm: Spacing = (1.0, 1.0, 1.0)) -> sitk.Image:
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    image.SetSpacing(spacing_mm[::-1])
    return image
