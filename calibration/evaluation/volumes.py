"""NIfTI volumes turned to foot to head, front to back, patient right to left."""

from __future__ import annotations

import math
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt
from nibabel.filebasedimages import ImageFileError
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, io_orientation
from nibabel.orientations import ornt_transform as transform_between
from nibabel.spatialimages import HeaderDataError

from appliance.scan.geometry import AXIAL_TOLERANCE_DEGREES
from calibration.evaluation.errors import EvaluationError
from engines.training.cases import UNLABELLED

_SUFFIXES = (".nii.gz", ".nii")
#: Pixels of an axial CT are square; longer ones are cuts through a coronal or sagittal series.
_MOST_OBLONG = 2.0
_LEAST_VOXEL_MM3 = 1e-6
#: What nibabel raises for files that are no NIfTI, are cut off, or hold colours.
_UNREADABLE = (
    ImageFileError,
    HeaderDataError,
    OSError,
    EOFError,
    zlib.error,
    ValueError,
    TypeError,
)


@dataclass(frozen=True, eq=False)
class Volume:
    """A NIfTI file on its way into a case.

    Parameters
    ----------
    values
        Shape (slices, rows, columns): foot to head, front to back, right to left.
    affine
        Of the turned array in the order (x, y, z), to NIfTI's RAS mm.
    spacing_mm
        Between slices, rows and columns.
    """

    values: npt.NDArray[np.floating]
    affine: npt.NDArray[np.float64]
    spacing_mm: tuple[float, float, float]


def find_volume(folder: Path, stem: str) -> Path | None:
    """``<stem>.nii.gz`` or ``<stem>.nii`` of a folder, None where there is neither."""
    candidates = [folder / f"{stem}{suffix}" for suffix in _SUFFIXES]
    return next((path for path in candidates if path.is_file()), None)


def read_volume(path: Path) -> Volume:
    """Read a NIfTI file and turn it by its affine.

    Raises
    ------
    EvaluationError
        When the file cannot be read, has not three dimensions, holds values that
        are not finite, or its slices are not axial.
    """
    values, affine = _load(path)
    if not np.isfinite(values).all():
        raise EvaluationError(f"{path}: some values are not finite numbers")
    turning, turned = _turned(path, values.shape, affine)
    standing = apply_orientation(values, turning).transpose(2, 1, 0)
    return Volume(np.ascontiguousarray(standing), turned, _spacing(turned))


def read_spacing(path: Path) -> tuple[float, float, float]:
    """Distance between slices, rows and columns of a NIfTI file, from its header alone.

    Raises
    ------
    EvaluationError
        See :func:`read_volume`.
    """
    try:
        image = nibabel.load(path)
        shape, affine = image.shape, np.asarray(image.affine, np.float64)
    except _UNREADABLE as error:
        raise EvaluationError(f"{path} cannot be read as NIfTI: {error}") from error
    return _spacing(_turned(path, shape[:3] if shape[3:] == (1,) else shape, affine)[1])


def read_label(
    folder: Path, stem: str, image: Volume, present: Collection[int]
) -> npt.NDArray[np.uint8] | None:
    """A label on the grid of its image: 0, 1 or 255; None where there is no file.

    Parameters
    ----------
    folder, stem
        Which file.
    image
        What was labelled.
    present
        The values that become 1.

    Raises
    ------
    EvaluationError
        When it cannot be read, lies on another grid, or holds other values than
        0, `present` and 255.
    """
    path = find_volume(folder, stem)
    if path is None:
        return None
    label = read_volume(path)
    check_grid(path, label, image)
    meant = np.isin(label.values, [0, *present, UNLABELLED])
    other = np.unique(label.values[~meant])
    if other.size:
        values = ", ".join(f"{value:g}" for value in other[:5])
        raise EvaluationError(
            f"{path}: a label holds 0, {', '.join(map(str, present))} and {UNLABELLED}, "
            f"this one also {values}"
        )
    unlabelled = label.values == UNLABELLED
    return np.where(unlabelled, UNLABELLED, label.values > 0).astype(np.uint8)


def _load(path: Path) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.float64]]:
    try:
        image = nibabel.load(path)
        values = np.asarray(image.get_fdata(dtype=np.float32))
        return _without_time(values), np.asarray(image.affine, np.float64)
    except _UNREADABLE as error:
        raise EvaluationError(f"{path} cannot be read as NIfTI: {error}") from error


def _turned(
    path: Path, shape: tuple[int, ...], affine: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """How a file is turned to foot to head, and its affine after that."""
    if len(shape) != 3 or min(shape) < 1:
        raise EvaluationError(f"{path}: a volume has three dimensions, not {shape}")
    if not np.isfinite(affine).all():
        raise EvaluationError(f"{path}: some values are not finite numbers")
    if abs(np.linalg.det(affine[:3, :3])) < _LEAST_VOXEL_MM3:
        raise EvaluationError(f"{path}: its affine gives the voxels no size")
    turning = transform_between(io_orientation(affine), axcodes2ornt("LPS"))
    turned = affine @ inv_ornt_aff(turning, shape)
    _check_axial(path, turned)
    return turning, turned


def _spacing(turned: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    dx, dy, dz = (float(length) for length in np.linalg.norm(turned[:3, :3], axis=0))
    return dz, dy, dx


def _without_time(values: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """One volume that is stored as a series of one."""
    return values[..., 0] if values.ndim == 4 and values.shape[3] == 1 else values


def _check_axial(path: Path, affine: npt.NDArray[np.float64]) -> None:
    steps = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    lean = math.degrees(math.acos(min(1.0, float(np.abs(np.diag(steps)).min()))))
    if not lean <= AXIAL_TOLERANCE_DEGREES:
        raise EvaluationError(f"{path}: the slices are not axial, they lean by {lean:.0f} degrees")
    x_mm, y_mm = np.linalg.norm(affine[:3, :2], axis=0).tolist()
    if max(x_mm, y_mm) > _MOST_OBLONG * min(x_mm, y_mm):
        raise EvaluationError(
            f"{path}: the slices are not axial, seen from the feet a pixel measures "
            f"{x_mm:g} x {y_mm:g} mm"
        )


def check_grid(path: Path, label: Volume, image: Volume) -> None:
    """Raise EvaluationError when a label does not lie on the grid of its image."""
    if label.values.shape != image.values.shape:
        raise EvaluationError(
            f"{path}: its shape is {label.values.shape}, the image's is {image.values.shape} "
            "(slices, rows, columns)"
        )
    far = [*np.subtract(image.values.shape[::-1], 1), 1]
    corners = np.array([[0, 0, 0, 1], far]).T
    apart = np.abs(label.affine @ corners - image.affine @ corners).max()
    if apart > max(image.spacing_mm):
        raise EvaluationError(f"{path}: it lies up to {apart:.1f} mm away from its image")
