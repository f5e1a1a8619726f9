"""Distances of points to fissures."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from calibration.lobes.fissures import distances, load_mask, load_points


def test_distances_are_to_where_the_two_lobes_meet() -> None:
    labels = np.zeros((20, 10, 10), np.uint8)
    labels[:10], labels[10:] = 5, 4
    points = np.array([[9.0, 5, 5], [10.0, 5, 5], [14.0, 5, 5]])
    away = distances(labels, (2.0, 1.0, 1.0), "left oblique", points)
    np.testing.assert_allclose(away, [0, 0, 8])


def test_points_are_put_into_the_mask_and_those_outside_are_left_out(tmp_path: Path) -> None:
    lung = np.zeros((12, 12, 12), np.uint8)
    lung[2:10, 2:10, 2:10] = 1
    affine = np.array([[-2.0, 0, 0, 30], [0, -2.0, 0, 40], [0, 0, 2.0, -50], [0, 0, 0, 1]])
    nibabel.save(nibabel.Nifti1Image(lung, affine), tmp_path / "mask.nii.gz")
    mask = load_mask(tmp_path / "mask.nii.gz")
    assert mask.lung.sum() == lung.sum()
    (tmp_path / "points.csv").write_text(
        "subject,side,fissure,x,y,z,in_lung\n"
        "a,left,oblique,-22,-30,-44,1\n"  # LPS of voxel (4, 5, 3)
        "a,left,oblique,-30,-40,-50,0\n"
        "a,right,oblique,-22,-30,-44,1\n"
        "a,right,horizontal,-22,-30,-44,1\n"
    )
    points = load_points(tmp_path / "points.csv", mask)
    assert {name: len(found) for name, found in points.items()} == {
        "left oblique": 1,
        "right oblique": 1,
        "right horizontal": 1,
    }
    assert points["left oblique"][0] == pytest.approx([3, 5, 4])
