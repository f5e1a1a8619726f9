"""Masks as NIfTI volumes in patient coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt

from appliance.scan.geometry import SliceGeometry

_GRID_TOLERANCE = 0.2


def write_volume(
    path: Path, planes: Sequence[npt.NDArray[np.bool_]], geometry: Sequence[SliceGeometry]
) -> None:
    """Write binary planes as one volume of 0 and 1.

    Parameters
    ----------
    path
        ``*.nii.gz``.
    planes
        Shape (rows, columns) each, as the images were sent, foot to head.
    geometry
        Of the same slices. A gap between them stays a gap: its planes are 0.

    Raises
    ------
    ValueError
        When there is no plane, or they are not of one size.
    """
    if not planes or len({plane.shape for plane in planes}) != 1:
        raise ValueError("a volume needs planes of one size")
    places = grid_places(geometry)
    rows, columns = planes[0].shape
    volume = np.zeros((columns, rows, places[-1] + 1), np.uint8)
    for place, plane in zip(places, planes, strict=True):
        volume[:, :, place] = plane.T
    matrix = affine(geometry, places)
    image = nibabel.Nifti1Image(volume, matrix)
    image.set_sform(matrix, code=1)
    image.set_qform(matrix, code=1, strip_shears=True)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)


def grid_places(geometry: Sequence[SliceGeometry]) -> list[int]:
    """Where slices, foot to head, lie on an even grid; one after the other where none fits."""
    along = np.array([one.along_mm for one in geometry])
    if len(along) < 2:
        return list(range(len(along)))
    places = (along - along[0]) / np.median(np.diff(along))
    nearest = np.rint(places)
    even = np.all(np.abs(places - nearest) <= _GRID_TOLERANCE) and np.all(np.diff(nearest) >= 1)
    return [int(place) for place in nearest] if even else list(range(len(along)))


def affine(geometry: Sequence[SliceGeometry], places: Sequence[int]) -> npt.NDArray[np.float64]:
    """From (column, row, place) to millimetres in RAS, shape (4, 4).

    DICOM counts to the patient's left and back (LPS), NIfTI to the right and
    front, so x and y change sign (PS3.3 C.7.6.2.1.1).
    """
    first, last = geometry[0], geometry[-1]
    matrix = np.eye(4)
    matrix[:3, 0] = np.array(first.orientation[:3]) * first.spacing[1]
    matrix[:3, 1] = np.array(first.orientation[3:]) * first.spacing[0]
    if len(geometry) > 1:
        step = np.subtract(last.position, first.position) / (places[-1] - places[0])
    else:
        step = first.normal * (first.thickness or 1.0)
    matrix[:3, 2] = step
    matrix[:3, 3] = first.position
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ matrix
