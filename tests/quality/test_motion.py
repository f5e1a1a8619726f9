from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from appliance.quantify.quality import SliceQuality, measure_slice
from calibration.phantom import Phantom, make_phantom
from calibration.quality.motion import Motion, Movement, moved_slice
from calibration.quality.projection import project, reconstruct, view_angles


@pytest.fixture(scope="module")
def chest() -> Phantom:
    return make_phantom(5, section="thin", slices=9, matrix=192, lesions=False)


def taken(chest: Phantom, motion: Motion) -> npt.NDArray[np.int16]:
    middle = len(chest.hu) // 2
    lung = chest.lung[middle].astype(bool)
    return moved_slice(chest.hu, lung, middle, chest.spacing[:2], motion)


def measured(chest: Phantom, hu: npt.NDArray[np.int16]) -> SliceQuality:
    lung = chest.lung[len(chest.hu) // 2].astype(bool)
    return measure_slice(hu, lung, chest.spacing[1:])


def test_a_disc_comes_back_from_its_projections() -> None:
    rows, columns = np.mgrid[:96, :96] - 47.5
    disc = (np.hypot(rows - 8, columns + 5) < 20).astype(np.float32)
    angles = view_angles(150)
    found = reconstruct(np.stack([project(disc, float(angle)) for angle in angles]), angles)
    inside, outside = np.hypot(rows - 8, columns + 5) < 17, np.hypot(rows - 8, columns + 5) > 23
    assert found[inside].mean() == pytest.approx(1.0, abs=0.01)
    assert found[outside].mean() == pytest.approx(0.0, abs=0.01)


def test_a_view_from_the_front_sums_columns() -> None:
    image = np.arange(64, dtype=np.float32).reshape(8, 8)
    assert project(image, 0.0) == pytest.approx(image.sum(axis=0))


def test_a_body_at_rest_looks_as_it_is(chest: Phantom) -> None:
    middle = len(chest.hu) // 2
    lung = chest.lung[middle] > 0
    rest = taken(chest, Motion(Movement.BREATH, 0.0))
    assert abs(float(rest[lung].mean()) - float(chest.hu[middle][lung].mean())) < 10


def test_a_breath_leaves_marks_that_rest_does_not(chest: Phantom) -> None:
    rest = measured(chest, taken(chest, Motion(Movement.BREATH, 0.0)))
    moved = measured(chest, taken(chest, Motion(Movement.BREATH, 12.0)))
    assert not rest.motion.moved
    assert moved.motion.moved


def test_the_heart_moves_only_itself(chest: Phantom) -> None:
    rest = taken(chest, Motion(Movement.HEART, 0.0)).astype(int)
    moved = taken(chest, Motion(Movement.HEART, 8.0, 0.5)).astype(int)
    difference = np.abs(moved - rest)
    assert difference.max() > 100
    assert np.median(difference) < 5
