"""Where lobes meet, and how far hand-placed fissure points lie from there."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk  # noqa: N813 - as SimpleITK's own documentation calls it
from scipy.ndimage import distance_transform_edt

Labels = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float64]

#: The lobes on either side of each fissure.
FISSURES: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "right oblique": ((1, 2), (3,)),
    "right horizontal": ((1,), (2,)),
    "left oblique": ((4,), (5,)),
}


@dataclass(frozen=True, eq=False)
class LungMask:
    """A lung mask and where it lies in its patient.

    Parameters
    ----------
    lung
        Shape (slices, rows, columns), standard view, foot to head.
    origin, spacing
        Of the first voxel, and between voxels; mm as (z, y, x) in LPS.
    """

    lung: npt.NDArray[np.bool_]
    origin: Points
    spacing: Points


def load_mask(path: Path) -> LungMask:
    """A mask of both lungs."""
    image = sitk.DICOMOrient(sitk.ReadImage(str(path)), "LPS")
    lung = sitk.GetArrayFromImage(image) > 0
    return LungMask(lung, np.array(image.GetOrigin()[::-1]), np.array(image.GetSpacing()[::-1]))


def load_image(path: Path, like: Path) -> npt.NDArray[np.float32]:
    """A CT of the mask's patient on the mask's grid, HU, interpolated linearly."""
    grid = sitk.DICOMOrient(sitk.ReadImage(str(like)), "LPS")
    image = sitk.Cast(sitk.ReadImage(str(path)), sitk.sitkFloat32)
    moved = sitk.Resample(image, grid, sitk.Transform(), sitk.sitkLinear, -1000.0)
    return np.asarray(sitk.GetArrayFromImage(moved), np.float32)


def load_thirds(path: Path, like: Path) -> Labels:
    """Thirds of the lungs on the mask's grid: 1 to 3 upper to lower right, 4 to 6 left.

    The low byte of the file's labels: 9 to 11 and 12 to 14 are the thirds of one side each.
    """
    grid = sitk.DICOMOrient(sitk.ReadImage(str(like)), "LPS")
    moved = sitk.Resample(
        sitk.ReadImage(str(path)), grid, sitk.Transform(), sitk.sitkNearestNeighbor
    )
    kinds = sitk.GetArrayFromImage(moved) & 255
    sides = [np.isin(kinds, kind) for kind in ((9, 10, 11), (12, 13, 14))]
    columns = [float(np.nonzero(side)[2].mean()) for side in sides]
    thirds = np.zeros(kinds.shape, np.uint8)
    for first, column in zip((9, 12), columns, strict=True):
        offset = 1 if column == min(columns) else 4
        for third in range(3):
            thirds[kinds == first + third] = offset + third
    return thirds


def load_points(path: Path, mask: LungMask) -> dict[str, Points]:
    """Fissure points that lie in a mask, as (slice, row, column) of it, by fissure.

    The file has the columns side, fissure, x, y and z (LPS, mm).
    """
    found: dict[str, list[list[float]]] = {name: [] for name in FISSURES}
    with path.open(newline="") as lines:
        for row in csv.DictReader(lines):
            place = [float(row[axis]) for axis in "zyx"]
            found[f"{row['side']} {row['fissure']}"].append(place)
    return {name: _inside(np.array(places), mask) for name, places in found.items()}


def _inside(places: Points, mask: LungMask) -> Points:
    voxels = (places - mask.origin) / mask.spacing
    nearest = np.rint(voxels).astype(int)
    within = np.asarray(((nearest >= 0) & (nearest < mask.lung.shape)).all(axis=1))
    within[within] = mask.lung[tuple(nearest[within].T)]
    return voxels[within]


def distances(labels: Labels, spacing: npt.ArrayLike, fissure: str, points: Points) -> Points:
    """How far points lie from a fissure, mm.

    Parameters
    ----------
    labels
        Lobes from 1, shape (slices, rows, columns).
    spacing
        mm.
    fissure
        One of :data:`FISSURES`.
    points
        (slice, row, column), shape (n, 3).
    """
    surface = _surface(labels, *FISSURES[fissure])
    away = distance_transform_edt(~surface, sampling=spacing)
    return np.asarray(away[tuple(np.rint(points).astype(int).T)], np.float64)


def _surface(labels: Labels, one: tuple[int, ...], other: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Voxels of one side with a neighbour on the other, and the other way round."""
    first, second = np.isin(labels, one), np.isin(labels, other)
    surface = np.zeros(labels.shape, np.bool_)
    for axis in range(3):
        ahead = [slice(None)] * 3
        behind = [slice(None)] * 3
        ahead[axis], behind[axis] = slice(1, None), slice(None, -1)
        here, there = tuple(behind), tuple(ahead)
        meeting = (first[here] & second[there]) | (second[here] & first[there])
        surface[here] |= meeting
        surface[there] |= meeting
    return surface
