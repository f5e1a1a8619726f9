"""Small cases of phantom-like disks: quick to make, and learnable."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt

from engines.training.cases import Case

SIZE = 256


def disks(slices: int = 8, lesion_from: int = 3) -> tuple[npt.NDArray[np.generic], ...]:
    """HU, lesion and lung of a body with one round lung; lesion from a slice upwards."""
    y, x = np.mgrid[:SIZE, :SIZE]
    away = np.hypot(y - 128, x - 128)
    plane = np.where(away < 100, 40, -1024)
    lung_plane = away < 60
    lesion_plane = np.hypot(y - 150, x - 128) < 20
    hu = np.repeat(np.where(lung_plane, -850, plane)[None], slices, axis=0)
    lung = np.repeat(lung_plane[None], slices, axis=0).astype(np.uint8)
    lesion = np.zeros_like(lung)
    lesion[lesion_from:, lesion_plane] = 1
    hu = np.where(lesion == 1, -400, hu)
    return hu.astype(np.int16), lesion, lung


def made_case(name: str = "made", spacing: float = 1.0, synthetic: bool = False) -> Case:
    hu, lesion, lung = disks()
    return Case(name, name, hu, lesion, lung, spacing, synthetic)  # type: ignore[arg-type]


def write_case(folder: Path, spacing: float = 1.0, unlabelled: tuple[int, ...] = ()) -> None:
    folder.mkdir(parents=True)
    hu, lesion, lung = disks()
    lung[list(unlabelled)] = 255
    affine = np.diag([-1.4, -1.4, spacing, 1])
    for name, array in [("image", hu), ("lesion", lesion), ("lung", lung)]:
        image = nibabel.Nifti1Image(array.transpose(2, 1, 0), affine)
        nibabel.save(image, folder / f"{name}.nii.gz")
