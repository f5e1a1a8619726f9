"""Small made-up scans as DICOM files, for tests of the command and its client."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from calibration.phantom import Anatomy, Phantom, write_dicom_series
from tests.made_scans import plane


def made_phantom(count: int = 24, *, lung: bool = True) -> Phantom:
    """Thick sections of 64 x 64 pixels with their truth; without `lung` the body is solid."""
    hu = np.stack([plane(index, count) for index in range(count)])
    hu = hu if lung else np.full_like(hu, 40)
    lungs = (hu < 0).astype(np.uint8)
    lesion = np.where(hu == -500, 1, np.where(hu == -50, 2, 0)).astype(np.uint8)
    return Phantom(hu, lungs, lungs, lesion, (5.0, 5.0, 5.0), 1, Anatomy.CHEST)


def write_series(
    folder: Path, count: int = 24, series_uid: str | None = None, *, lung: bool = True
) -> Path:
    """Write a made phantom as DICOM and return the folder."""
    write_dicom_series(made_phantom(count, lung=lung), folder, series_uid=series_uid)
    return folder
