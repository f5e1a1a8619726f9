from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.quantify.movement import MotionCounts
from appliance.quantify.quality import ScanQuality, SliceQuality, measure_slice, scan_quality
from appliance.quantify.squares import Squares, grown
from calibration.phantom import Phantom, make_phantom

Plane = npt.NDArray[np.int16]
MM = (0.7, 0.7)


@pytest.fixture(scope="module")
def chest() -> Phantom:
    return make_phantom(10, section="thick", slices=12, matrix=192)


def measured(chest: Phantom, hu: npt.NDArray[np.int16]) -> ScanQuality:
    spacing = chest.spacing[1:]
    slices = [
        measure_slice(plane, lung.astype(bool), spacing)
        for plane, lung in zip(hu, chest.lung, strict=True)
    ]
    return scan_quality(slices, [spacing[0] * spacing[1]] * len(slices))


def noisy(hu: npt.NDArray[np.int16], strength: float) -> npt.NDArray[np.int16]:
    noise = np.random.default_rng(3).normal(0, strength, hu.shape)
    return np.clip(hu + noise, -1024, 3071).astype(np.int16)


def test_a_plain_phantom_has_no_flag(chest: Phantom) -> None:
    quality = measured(chest, chest.hu)
    assert not quality.has_strong_noise
    assert not quality.has_contrast
    assert not quality.has_metal
    assert not quality.has_motion
    assert quality.measures.keys() == {
        "noise_hu",
        "blood_pool_hu",
        "metal_mm2",
        "motion_percent",
    }


@pytest.mark.parametrize("strength", [10.0, 30.0, 70.0])
@pytest.mark.parametrize("spacing", [MM, (1.4, 1.4)])
def test_noise_is_read_from_even_tissue(strength: float, spacing: tuple[float, float]) -> None:
    hu = noisy(np.full((256, 256), 50, np.int16), strength)
    quality = scan_quality([measure_slice(hu, np.zeros(hu.shape, bool), spacing)], [1.0])
    assert quality.noise_hu == pytest.approx(strength, rel=0.2)


def test_strong_noise_is_seen_and_is_neither_motion_nor_contrast(chest: Phantom) -> None:
    quality = measured(chest, noisy(chest.hu, 80.0))
    assert quality.has_strong_noise
    assert not quality.has_contrast
    assert not quality.has_motion


def test_contrast_is_seen_in_what_lies_between_the_lungs(chest: Phantom) -> None:
    before = measured(chest, chest.hu).blood_pool_hu
    assert before is not None
    soft = (chest.hu > -20) & (chest.hu < 120)
    enhanced = np.where(soft, chest.hu + 120, chest.hu).astype(np.int16)
    after = measured(chest, enhanced)
    assert after.has_contrast
    assert after.blood_pool_hu == pytest.approx(before + 120, abs=12)


def test_fat_between_the_lungs_is_no_blood(chest: Phantom) -> None:
    fat = np.where(chest.hu > -200, np.minimum(chest.hu, -90), chest.hu).astype(np.int16)
    assert measured(chest, fat).blood_pool_hu is None


def test_a_lead_on_the_skin_is_no_metal_in_the_body(chest: Phantom) -> None:
    hu = chest.hu.copy()
    skin = np.flatnonzero(hu[6, :, 96] > -200)[0]
    hu[6, skin - 3 : skin + 1, 94:99] = 3000
    assert measured(chest, hu).metal_mm2 == 0


def test_metal_is_measured_by_its_area(chest: Phantom) -> None:
    hu = chest.hu.copy()
    hu[6, 100:104, 50:55] = 3000
    quality = measured(chest, hu)
    assert quality.has_metal
    assert quality.metal_mm2 == pytest.approx(20 * chest.spacing[1] * chest.spacing[2])


def test_a_bright_pixel_is_no_metal(chest: Phantom) -> None:
    hu = chest.hu.copy()
    hu[6, 100, 50] = 3071
    assert not measured(chest, hu).has_metal


def test_emphysema_alone_is_no_motion(chest: Phantom) -> None:
    dark = np.where(chest.lung > 0, np.minimum(chest.hu, -975), chest.hu).astype(np.int16)
    assert not measured(chest, dark).has_motion


def test_dark_streaks_in_lung_and_tissue_are_motion(chest: Phantom) -> None:
    quality = measured(chest, streaked(chest))
    assert quality.has_motion
    assert quality.moved_slices > len(chest.hu) // 3


def streaked(chest: Phantom) -> npt.NDArray[np.int16]:
    """Dark bands from front to back, 6 mm of every 60."""
    hu = chest.hu.astype(np.int32)
    width = round(6 / chest.spacing[2])
    for first in range(0, hu.shape[2], 10 * width):
        hu[:, :, first : first + width] -= 180
    return np.clip(hu, -1024, 3071).astype(np.int16)


def test_few_moved_slices_are_no_moved_scan() -> None:
    still, moved = MotionCounts(500, 0, 500, 20), MotionCounts(500, 20, 500, 20)
    slices = [SliceQuality(motion=still)] * 20
    assert not scan_quality([*slices, SliceQuality(motion=moved)], [1.0] * 21).has_motion
    assert scan_quality([*slices, *[SliceQuality(motion=moved)] * 3], [1.0] * 23).has_motion


def test_a_scan_without_lung_or_tissue_says_nothing() -> None:
    air = np.full((64, 64), -1000, np.int16)
    quality = scan_quality([measure_slice(air, np.zeros(air.shape, bool), MM)], [0.5])
    assert quality == ScanQuality(metal_mm2=0.0)
    assert quality.measures == {"metal_mm2": 0.0}
    assert scan_quality([], []) == ScanQuality()


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="shapes differ"):
        measure_slice(np.zeros((4, 4), np.int16), np.zeros((4, 5), bool), MM)


@given(st.integers(1, 40), st.integers(1, 40), st.floats(0.1, 3.0), st.integers(0, 2**32 - 1))
def test_squares_are_summed_exactly(rows: int, columns: int, mm: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    hu = rng.integers(-1024, 2048, (rows, columns)).astype(np.int16)
    lung = rng.random((rows, columns)) < 0.5
    squares = Squares.of(hu, lung, (mm, mm))
    side = int(np.sqrt(squares.pixels))
    for row, column in np.ndindex(squares.total.shape):
        place = np.s_[row * side : (row + 1) * side, column * side : (column + 1) * side]
        part = hu[place].astype(np.int64)
        assert squares.total[row, column] == part.sum()
        assert squares.total_of_squares[row, column] == (part**2).sum()
        assert squares.lung[row, column] == lung[place].sum()
        assert squares.tissue[row, column] == (part > -250).all()


def test_the_orientation_of_memory_does_not_matter(chest: Phantom) -> None:
    hu, lung = chest.hu[6], chest.lung[6].astype(bool)
    turned = measure_slice(np.asfortranarray(hu), np.asfortranarray(lung), chest.spacing[1:])
    assert turned == measure_slice(hu, lung, chest.spacing[1:])


def test_a_region_grows_along_rows_and_columns() -> None:
    region = np.zeros((5, 5), bool)
    region[2, 2] = True
    assert grown(region).sum() == 5
    assert grown(region, 2).sum() == 13
    assert region.sum() == 1
