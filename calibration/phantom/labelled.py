"""A phantom in the format of labelled training cases."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt

from calibration.phantom.phantom import Phantom


def write_labelled(phantom: Phantom, folder: Path) -> None:
    """Write image, lesion and lung as ``*.nii.gz`` into `folder`, which is made if need be.

    Arrays lie as (x, y, z), patient right to left, front to back, foot to head;
    the affine is diag(-x spacing, -y spacing, z spacing), as NIfTI counts from
    left to right. Values: HU; 0 none, 1 ground glass, 2 consolidation; 0, 1 lung.
    """
    folder.mkdir(parents=True, exist_ok=True)
    dz, dy, dx = phantom.spacing
    affine = np.diag([-dx, -dy, dz, 1.0])
    _write(folder / "image.nii.gz", phantom.hu, affine)
    _write(folder / "lesion.nii.gz", phantom.lesion, affine)
    _write(folder / "lung.nii.gz", phantom.lung, affine)


def _write(
    path: Path,
    array: npt.NDArray[np.int16] | npt.NDArray[np.uint8],
    affine: npt.NDArray[np.float64],
) -> None:
    image = nibabel.Nifti1Image(np.ascontiguousarray(array.transpose(2, 1, 0)), affine)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)
