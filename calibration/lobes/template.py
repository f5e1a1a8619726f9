"""A lobe template, and its registration to a lung mask.

The template is a label volume without an image, so what is registered is shape:
the signed distance to the surface of each lung, by an affine transform first and
by demons after (Thirion 1998, with symmetric forces), with SimpleITK.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk  # noqa: N813
from scipy.ndimage import distance_transform_edt

Labels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

#: The template's labels (left upper, left lower, right upper, middle, lower) as models count.
_LABEL_OF = {1: 4, 2: 5, 3: 1, 4: 2, 5: 3}
#: Labels of the right and of the left lung.
SIDES = ((1, 2, 3), (4, 5))
#: Voxels of a registration.
STEP_MM = 4.0
#: Distances beyond this say nothing about where a surface lies.
_REACH_MM = 24.0
_PADDING = 7
_DEMONS_STEPS = 40
#: Smoothness of the deformation, voxels.
_STIFFNESS = 2.0


@dataclass(frozen=True, eq=False)
class LobeMap:
    """Labels in the standard view: 1 to 5 as models count lobes, 0 outside.

    Parameters
    ----------
    labels
        Shape (slices, rows, columns), foot to head, front on top, right on the left.
    spacing
        mm.
    """

    labels: Labels
    spacing: tuple[float, float, float]


def load_template(path: Path) -> LobeMap:
    """The template of a NIfTI file, every second voxel of it."""
    image = sitk.DICOMOrient(sitk.ReadImage(str(path)), "LPS")
    found = sitk.GetArrayFromImage(image)
    labels = np.zeros(found.shape, np.uint8)
    for theirs, ours in _LABEL_OF.items():
        labels[np.rint(found) == theirs] = ours
    x, y, z = image.GetSpacing()
    labels = np.pad(labels, 2 * _PADDING)
    return LobeMap(labels[::2, ::2, ::2], (2 * z, 2 * y, 2 * x))


def register(template: LobeMap, sides: tuple[Mask, Mask], spacing: tuple[float, ...]) -> Labels:
    """Lobes of a scan by the template's, one lung at a time.

    Parameters
    ----------
    template
        Of a whole chest.
    sides
        Right and left lung of the scan, shape (slices, rows, columns).
    spacing
        Of the scan, mm.

    Returns
    -------
    Shape of the masks.
    """
    labels = np.zeros(sides[0].shape, np.uint8)
    for lung, lobes in zip(sides, SIDES, strict=True):
        theirs = np.where(np.isin(template.labels, lobes), template.labels, 0).astype(np.uint8)
        moved = _registered(theirs, template.spacing, lung, spacing)
        labels[lung] = moved[lung]
    return labels


def _registered(
    theirs: Labels, their_spacing: tuple[float, ...], lung: Mask, spacing: tuple[float, ...]
) -> Labels:
    """The template's lobes moved onto a lung, every voxel of which gets one."""
    target = _image(lung.astype(np.uint8), spacing)
    source = _image(theirs, their_spacing)
    fixed, moving = _distances(target), _distances(sitk.Cast(source > 0, sitk.sitkUInt8))
    affine = _affine(fixed, moving, lung, spacing, theirs > 0, their_spacing)
    near = sitk.Resample(moving, fixed, affine, sitk.sitkLinear, _REACH_MM)
    demons = sitk.FastSymmetricForcesDemonsRegistrationFilter()
    demons.SetNumberOfIterations(_DEMONS_STEPS)
    demons.SetStandardDeviations(_STIFFNESS)
    field = sitk.DisplacementFieldTransform(demons.Execute(fixed, near))
    whole = sitk.CompositeTransform([affine, field])
    moved = sitk.Resample(
        _image(_grown(theirs), their_spacing), target, whole, sitk.sitkNearestNeighbor, 0
    )
    return np.asarray(sitk.GetArrayFromImage(moved), np.uint8)


def _image(array: npt.NDArray[np.generic], spacing: tuple[float, ...]) -> sitk.Image:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing([float(mm) for mm in reversed(spacing)])
    return image


def _distances(mask: sitk.Image) -> sitk.Image:
    """Signed distance to a mask's surface, mm, on a coarse grid with room around it."""
    spacing = mask.GetSpacing()[::-1]
    low, high = _box(sitk.GetArrayViewFromImage(mask) > 0, spacing)
    grid = sitk.Image(
        [int(extent / STEP_MM) + 1 + 2 * _PADDING for extent in high - low], sitk.sitkUInt8
    )
    grid.SetSpacing([STEP_MM] * 3)
    grid.SetOrigin((low - _PADDING * STEP_MM).tolist())
    smooth = sitk.Cast(mask, sitk.sitkFloat32)
    coarse = sitk.GetArrayFromImage(sitk.Resample(smooth, grid, sitk.Transform(), sitk.sitkLinear))
    inside = coarse >= 0.5
    distance = STEP_MM * (distance_transform_edt(~inside) - distance_transform_edt(inside))
    image = sitk.GetImageFromArray(np.clip(distance, -_REACH_MM, _REACH_MM).astype(np.float32))
    image.CopyInformation(grid)
    return image


def _affine(
    fixed: sitk.Image,
    moving: sitk.Image,
    lung: Mask,
    spacing: tuple[float, ...],
    theirs: Mask,
    their_spacing: tuple[float, ...],
) -> sitk.AffineTransform:
    """From scan to template: the boxes of the lungs laid over each other, then optimised."""
    low, high = _box(lung, spacing)
    their_low, their_high = _box(theirs, their_spacing)
    scale = (their_high - their_low) / (high - low)
    start = sitk.AffineTransform(3)
    start.SetMatrix(np.diag(scale).ravel().tolist())
    start.SetCenter(((low + high) / 2).tolist())
    start.SetTranslation(((their_low + their_high) / 2 - (low + high) / 2).tolist())
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMeanSquares()
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-2, 40, relaxationFactor=0.6)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([2, 1])
    method.SetSmoothingSigmasPerLevel([1, 0])
    method.SetInitialTransform(start, inPlace=True)
    method.Execute(fixed, moving)
    return start


def _box(mask: Mask, spacing: tuple[float, ...]) -> tuple[npt.NDArray[np.float64], ...]:
    """First and last place of a mask as (x, y, z), mm."""
    places = np.argwhere(mask)
    scale = np.array(spacing)
    return (places.min(axis=0) * scale)[::-1], ((places.max(axis=0) + 1) * scale)[::-1]


def _grown(labels: Labels) -> Labels:
    """Labels everywhere: each voxel without one takes that of the nearest that has one."""
    nearest = distance_transform_edt(labels == 0, return_distances=False, return_indices=True)
    return np.asarray(labels[tuple(nearest)], np.uint8)
