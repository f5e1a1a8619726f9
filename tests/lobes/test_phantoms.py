"""Phantoms as training scans."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from calibration.lobes.evaluate import agreement
from calibration.lobes.label import cut_off_mm2
from calibration.lobes.lowering import Lowering, load_scan, save_scan
from calibration.lobes.phantoms import lowered_phantom
from calibration.phantom import make_phantom
from engines.models import load_repository
from engines.runtimes import choose


def test_a_phantom_is_lowered_with_its_true_lobes(tmp_path: Path) -> None:
    lung = next(spec for spec in load_repository() if spec.role == "lung")
    phantom = make_phantom(3, section="thin", slices=24, matrix=256, lesions=False)
    scan = lowered_phantom(phantom, Lowering(lung, choose("openvino")))
    assert scan.labels is not None
    assert scan.planes.shape == scan.lung.shape == (24, 128, 128)
    np.testing.assert_array_equal(scan.labels > 0, scan.lung)
    assert scan.pixel_mm[0] == 2 * phantom.spacing[1]
    truth = np.count_nonzero(phantom.lung) / 4
    assert abs(np.count_nonzero(scan.lung) / truth - 1) < 0.05
    save_scan(tmp_path / "phantom3.npz", scan)
    again = load_scan(tmp_path / "phantom3.npz")
    np.testing.assert_allclose(again.planes, scan.planes, atol=0.003)
    assert again.labels is not None
    assert agreement(again.labels, scan.labels)["right_share"] == 1
    assert cut_off_mm2(again) > 2000, "36 mm do not cover the lungs"
