from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from calibration.phantom import make_phantom, write_labelled


def test_is_written_like_the_labelled_cases(tmp_path: Path) -> None:
    phantom = make_phantom(4, section="thick", slices=6, matrix=64, lesions=0.2)
    write_labelled(phantom, tmp_path / "case")
    for name, array in [("image", phantom.hu), ("lesion", phantom.lesion), ("lung", phantom.lung)]:
        image = nibabel.load(tmp_path / "case" / f"{name}.nii.gz")
        assert image.get_data_dtype() == array.dtype
        np.testing.assert_array_equal(np.asarray(image.dataobj).transpose(2, 1, 0), array)
        dz, dy, dx = phantom.spacing
        assert np.diag(image.affine) == pytest.approx([-dx, -dy, dz, 1], abs=1e-4)
