from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np

from appliance.ingest import find_series
from calibration.phantom import Anatomy, Lobe, Phantom
from calibration.phantom.truth import lobe_truth, truth_of
from engines.parts import LOBE_NAMES
from tests.cli.command import Command

SMALL = ("--matrix", 64, "--slices", 2)


def test_a_dicom_series_with_its_truth(command: Command, tmp_path: Path) -> None:
    ran = command("phantom", "--out", tmp_path, "--seed", 3, *SMALL, "--json")
    assert ran.code == 0
    (line,) = ran.lines
    assert (line["slices"], line["section"], line["anatomy"]) == (2, "thick", "chest")
    assert 0 <= line["pho"] <= line["po"] < 100
    assert {lobe["name"] for lobe in line["lobes"]} == set(LOBE_NAMES)
    assert {"lss", "lhos", "ct_score"} <= line.keys()
    (series,) = find_series(tmp_path).series
    assert len(series.files) == 2


def test_a_head_has_no_score_and_can_be_labelled(command: Command, tmp_path: Path) -> None:
    ran = command("phantom", "--out", tmp_path, *SMALL, "--anatomy", "head", "--labelled")
    assert ran.code == 0
    assert "no lung" in ran.out
    assert not np.asarray(nibabel.load(tmp_path / "lung.nii.gz").dataobj).any()
    assert nibabel.load(tmp_path / "image.nii.gz").shape == (64, 64, 2)


def test_truth_counts_voxels() -> None:
    hu = np.array([[[-800, -500, -100, 40]]], np.int16)
    lung = np.array([[[1, 1, 1, 0]]], np.uint8)
    lesion = np.array([[[0, 1, 2, 0]]], np.uint8)
    made = Phantom(hu, lung, lung, lesion, (1.0, 1.0, 1.0), 1, Anatomy.CHEST)
    po, pho = truth_of(made)
    assert po is not None
    assert pho is not None
    assert (round(po, 3), round(pho, 3)) == (66.667, 33.333)


def test_truth_of_lobes_counts_voxels_of_each() -> None:
    hu = np.array([[[-800, -500, -100, 40]]], np.int16)
    lobes = np.array([[[Lobe.LEFT_LOWER, Lobe.LEFT_LOWER, Lobe.RIGHT_MIDDLE, 0]]], np.uint8)
    lesion = np.array([[[0, 1, 2, 0]]], np.uint8)
    lung = (lobes > 0).astype(np.uint8)
    made = Phantom(hu, lung, lobes, lesion, (5.0, 2.0, 10.0), 1, Anatomy.CHEST)
    found = {lobe.name: (lobe.lung_ml, lobe.po, lobe.pho) for lobe in lobe_truth(made)}
    assert found["left_lower_lobe"] == (0.2, 50.0, 0.0)
    assert found["right_middle_lobe"] == (0.1, 100.0, 100.0)
    assert found["right_upper_lobe"] == (0.0, None, None)
