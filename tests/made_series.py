"""Small made-up scans as DICOM files, for tests of the command and its client."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from calibration.phantom import Anatomy, Phantom, write_dicom_series
from tests.made_scans import plane


def write_series(
    folder: Path, count: int = 24, series_uid: str | None = None, *, lung: bool = True
) -> Path:
    """Write thick sections of 64 x 64 pixels and return the folder.

    Without `lung` the body is solid.
    """
    hu = np.stack([plane(index, count) for index in range(count)])
    hu = hu if lung else np.full_like(hu, 40)
    none = np.zeros(hu.shape, np.uint8)
    made = Phantom(hu, none, none, none, (5.0, 5.0, 5.0), 1, Anatomy.CHEST)
    write_dicom_series(made, folder, series_uid=series_uid)
    return folder
