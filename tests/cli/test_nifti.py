from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest

from appliance.cli.masks.nifti import affine, grid_places, write_volume
from appliance.scan.geometry import Orientation, SliceGeometry

STANDARD: Orientation = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
TURNED: Orientation = (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0)


def stack(
    heights: list[float], orientation: Orientation = STANDARD, shear: float = 0.0
) -> list[SliceGeometry]:
    return [
        SliceGeometry((-100.0, -90.0 + shear * z, z), orientation, (0.8, 0.7), 4, 5, 5.0)
        for z in heights
    ]


@pytest.mark.parametrize("orientation", [STANDARD, TURNED, (0.0, 1.0, 0.0, 1.0, 0.0, 0.0)])
@pytest.mark.parametrize("shear", [0.0, 0.1])
def test_a_pixel_lies_where_dicom_says(orientation: Orientation, shear: float) -> None:
    geometry = stack([-300.0, -295.0, -290.0], orientation, shear)
    row, column, index = 3, 2, 1
    one = geometry[index]
    lps = (
        np.array(one.position)
        + column * one.spacing[1] * np.array(one.orientation[:3])
        + row * one.spacing[0] * np.array(one.orientation[3:])
    )
    ras = affine(geometry, [0, 1, 2]) @ (column, row, index, 1)
    np.testing.assert_allclose(ras[:3], lps * (-1, -1, 1), atol=1e-9)


def test_a_volume_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    planes = [np.zeros((4, 5), bool) for _ in range(3)]
    planes[2][3, 1] = True
    write_volume(tmp_path / "mask.nii.gz", planes, stack([0.0, 5.0, 10.0]))
    image = nibabel.load(tmp_path / "mask.nii.gz")
    assert image.get_data_dtype() == np.uint8
    assert np.argwhere(np.asarray(image.dataobj)).tolist() == [[1, 3, 2]]
    assert nibabel.aff2axcodes(image.affine) == ("L", "P", "S")
    np.testing.assert_allclose(image.header.get_zooms(), (0.7, 0.8, 5.0), rtol=1e-6)
    np.testing.assert_allclose(image.get_qform(), image.get_sform(), atol=1e-4)


def test_a_gap_stays_a_gap(tmp_path: Path) -> None:
    geometry = stack([0.0, 5.0, 10.0, 30.0, 35.0])
    assert grid_places(geometry) == [0, 1, 2, 6, 7]
    planes = [np.ones((4, 5), bool)] * 5
    write_volume(tmp_path / "mask.nii.gz", planes, geometry)
    image = nibabel.load(tmp_path / "mask.nii.gz")
    filled = np.asarray(image.dataobj).any(axis=(0, 1))
    assert filled.tolist() == [True, True, True, False, False, False, True, True]
    assert image.affine[2, 2] == pytest.approx(5.0)


def test_slices_that_fit_no_grid_follow_one_another() -> None:
    assert grid_places(stack([0.0, 4.2, 5.3, 12.7])) == [0, 1, 2, 3]


def test_a_single_slice_is_as_thick_as_it_says() -> None:
    one = stack([7.0])
    assert affine(one, [0])[2, 2] == 5.0
    assert affine([replace(one[0], thickness=None)], [0])[2, 2] == 1.0


def test_planes_of_different_sizes_are_no_volume(tmp_path: Path) -> None:
    planes = [np.zeros((4, 5), bool), np.zeros((5, 4), bool)]
    with pytest.raises(ValueError, match="one size"):
        write_volume(tmp_path / "mask.nii.gz", planes, stack([0.0, 5.0]))
