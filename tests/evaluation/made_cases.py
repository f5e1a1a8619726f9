"""Small labelled cases, in memory and on disk."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt

from appliance.quantify.scores import Scores, Volumes
from calibration.evaluation import FoundMasks, LabelledCase

#: x from the patient's right to the left, y front to back, z foot to head: all NIfTI minus but z.
LPS = np.diag([-0.7, -0.7, 6.0, 1.0])


def made_case(
    lesion: npt.NDArray[np.generic],
    lung: npt.NDArray[np.generic],
    hu: npt.NDArray[np.generic] | None = None,
    lesion_b: npt.NDArray[np.generic] | None = None,
    spacing_mm: tuple[float, float, float] = (6.0, 1.0, 1.0),
    name: str = "made",
) -> LabelledCase:
    return LabelledCase(
        name,
        np.full(lesion.shape, -800, np.int16) if hu is None else hu.astype(np.int16),
        lesion.astype(np.uint8),
        lung.astype(np.uint8),
        None if lesion_b is None else lesion_b.astype(np.uint8),
        spacing_mm,
    )


def made_masks(lesion: npt.NDArray[np.generic], lung: npt.NDArray[np.generic]) -> FoundMasks:
    return FoundMasks(
        lung.astype(bool), lesion.astype(bool), Scores(Volumes(), po=12.5, pho=1.5), 0.5
    )


def write_nifti(
    path: Path, array: npt.NDArray[np.generic], affine: npt.NDArray[np.float64] = LPS
) -> None:
    """`array` in the order of the file: (x, y, z)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, affine), path)


def made_chest(name: str = "chest", slices: int = 8, size: int = 64) -> LabelledCase:
    """A body of 360 x 260 mm with two lungs, and ground glass in the back of the left one."""
    y, x = np.mgrid[0:size, 0:size] / size - 0.5
    body = (x / 0.45) ** 2 + (y / 0.33) ** 2 < 1
    sides = [((x - side) / 0.14) ** 2 + (y / 0.24) ** 2 < 1 for side in (-0.2, 0.2)]
    patch = ((x - 0.22) / 0.06) ** 2 + ((y - 0.12) / 0.07) ** 2 < 1
    plane = np.where(body, 40, -1000)
    plane[sides[0] | sides[1]] = -850
    plane[patch] = -450
    lung = np.repeat((sides[0] | sides[1] | patch)[None], slices, axis=0)
    lesion = np.repeat(patch[None], slices, axis=0)
    hu = np.repeat(plane[None], slices, axis=0)
    return made_case(lesion, lung, hu, spacing_mm=(6.0, 400 / size, 400 / size), name=name)


def write_case(folder: Path, case: LabelledCase) -> Path:
    """Write a case in the format of labelled data."""
    dz, dy, dx = case.spacing_mm
    for name, array in (("image", case.hu), ("lesion", case.lesion), ("lung", case.lung)):
        affine = np.diag([-dx, -dy, dz, 1.0])
        write_nifti(folder / f"{name}.nii.gz", array.transpose(2, 1, 0), affine)
    return folder
