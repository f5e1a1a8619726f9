"""Registration of a template to lungs of another build."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from calibration.lobes.sides import split_sides
from calibration.lobes.template import LobeMap, load_template, register
from tests.lobes.made_lungs import SPACING, made_lobes


@pytest.fixture(scope="module")
def template() -> LobeMap:
    return LobeMap(np.pad(made_lobes(), 6), SPACING)


def test_a_template_finds_the_lobes_of_another_build(template: LobeMap) -> None:
    truth = made_lobes(stretch=(0.85, 1.1, 0.9))
    found = register(template, split_sides(truth > 0, SPACING), SPACING)
    np.testing.assert_array_equal(found > 0, truth > 0)
    assert (found == truth)[truth > 0].mean() > 0.93


def test_a_template_is_read_as_it_lies_in_the_patient(tmp_path: Path) -> None:
    labels = np.zeros((40, 30, 20), np.float32)  # (x from right to left, y from back, z)
    labels[:20, :, 10:], labels[20:, :, 10:] = 3, 1
    nibabel.save(
        nibabel.Nifti1Image(labels, np.diag([-1.0, 1.0, 1.0, 1.0])), tmp_path / "lobes.nii.gz"
    )
    template = load_template(tmp_path / "lobes.nii.gz")
    assert template.spacing == (2.0, 2.0, 2.0)
    right = np.argwhere(template.labels == 1).mean(axis=0)
    left = np.argwhere(template.labels == 4).mean(axis=0)
    assert right[2] < left[2]
    assert set(np.unique(template.labels)) == {0, 1, 4}
