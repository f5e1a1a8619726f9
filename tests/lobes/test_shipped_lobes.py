"""The lobes model that ships: on an unseen phantom, and on the patient with fissure points."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from calibration.lobes.evaluate import Reference, agreement, find, on_reference
from calibration.lobes.lowering import Lowering
from calibration.lobes.phantoms import lowered_phantom
from calibration.phantom import make_phantom
from engines.divider import Divider, load_dividers
from engines.models import load_repository
from engines.runtimes import choose


@pytest.fixture(scope="module")
def divider() -> Divider:
    (found,) = load_dividers(load_repository(), choose("openvino"))
    return found


def test_lobes_of_an_unseen_phantom(divider: Divider) -> None:
    lung = next(spec for spec in load_repository() if spec.role == "lung")
    phantom = make_phantom(41, section="thick", slices=40, matrix=256)
    scan = lowered_phantom(phantom, Lowering(lung, choose("openvino")))
    assert scan.labels is not None
    found = find(divider, scan)
    assert agreement(found, scan.labels)["right_share"] > 0.92


def test_fissures_lie_near_the_points_of_many_patients(divider: Divider, shared_ct: Path) -> None:
    folder = shared_ct / "lobes"
    reference = Reference(
        folder / "10002K_lungs_1p5mm.nii.gz",
        folder / "fissure_points_in_10002K.csv",
        folder / "ct-64.nrrd",
        folder / "lm-64.nrrd",
    )
    result = on_reference(divider, reference)
    assert result["model"]["all"]["median_mm"] <= 10  # type: ignore[index]
    assert result["thirds"]["right_side_share"] > 0.99  # type: ignore[index]
    shares = result["volume_share_percent"]
    assert np.isclose(sum(shares.values()), 100, atol=0.01)  # type: ignore[attr-defined]
