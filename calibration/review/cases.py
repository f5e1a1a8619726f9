"""A corrected scan as a labelled case, on the grid that networks are trained on."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt
from scipy.ndimage import zoom

from calibration.evaluation.volumes import Volume
from engines.training.cases import UNLABELLED

#: Rows and columns of a case.
SIDE = 256
Label = npt.NDArray[np.uint8]


def write_case(folder: Path, image: Volume, labels: dict[str, Label]) -> None:
    """Write ``image.nii.gz`` and a file for each label.

    Parameters
    ----------
    folder
        Made if need be.
    image
        HU, shape (slices, rows, columns), see :class:`Volume`.
    labels
        By name, shape of the image: 0, 1 or 255.
    """
    folder.mkdir(parents=True, exist_ok=True)
    dz, dy, dx = image.spacing_mm
    rows, columns = image.values.shape[1:]
    affine = np.diag([-dx * columns / SIDE, -dy * rows / SIDE, dz, 1.0])
    hu = np.clip(np.rint(_to_side(image.values)), -1024, 32767).astype(np.int16)
    _write(folder / "image.nii.gz", hu, affine)
    for name, label in labels.items():
        unknown = _to_side((label == UNLABELLED).astype(np.float32)) > 0
        marked = _to_side((label == 1).astype(np.float32)) >= 0.5
        small = np.where(unknown, UNLABELLED, marked).astype(np.uint8)
        _write(folder / f"{name}.nii.gz", small, affine)


def _to_side(values: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Slices of SIDE rows and columns: means of whole blocks of pixels, else interpolated."""
    slices, rows, columns = values.shape
    if rows % SIDE == 0 and columns % SIDE == 0:
        blocks = values.reshape(slices, SIDE, rows // SIDE, SIDE, columns // SIDE)
        return np.asarray(blocks.mean(axis=(2, 4)))
    factors = (1.0, SIDE / rows, SIDE / columns)
    return np.asarray(zoom(values, factors, order=1, grid_mode=True, mode="nearest"))


def _write(
    path: Path,
    array: npt.NDArray[np.int16] | npt.NDArray[np.uint8],
    affine: npt.NDArray[np.float64],
) -> None:
    """As (x, y, z), which is how cases lie."""
    image = nibabel.Nifti1Image(np.ascontiguousarray(array.transpose(2, 1, 0)), affine)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)
