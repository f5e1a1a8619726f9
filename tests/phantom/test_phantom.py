"""The phantom: deterministic, varied, true to its masks."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_erosion

from calibration.phantom import Lobe, Phantom, Section, make_phantom
from calibration.phantom.phantom import slice_heights
from calibration.phantom.scene import Scene, work_axis


@pytest.fixture(scope="module")
def chest() -> Phantom:
    return make_phantom(5, section="thick", slices=30, matrix=192, lesions=0.2)


def test_the_same_seed_gives_the_same_phantom_and_another_seed_another() -> None:
    first, again, other = (
        make_phantom(seed, section="thick", slices=2, matrix=64) for seed in (3, 3, 4)
    )
    for name in ("hu", "lung", "lobes", "lesion"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert first.spacing == again.spacing
    assert not np.array_equal(first.hu, other.hu)


def test_shapes_types_and_values(chest: Phantom) -> None:
    assert chest.hu.shape == (30, 192, 192)
    assert chest.hu.dtype == np.int16
    assert chest.hu.min() >= -1024
    assert chest.hu.max() <= 3071
    for mask in (chest.lung, chest.lobes, chest.lesion):
        assert mask.shape == chest.hu.shape
        assert mask.dtype == np.uint8
    assert set(np.unique(chest.lesion)) == {0, 1, 2}


def test_lesions_lie_in_lung_and_lobes_are_the_lung(chest: Phantom) -> None:
    assert not np.any((chest.lesion > 0) & (chest.lung == 0))
    np.testing.assert_array_equal(chest.lobes > 0, chest.lung > 0)
    assert set(np.unique(chest.lobes)) == set(Lobe)


def test_lobes_lie_on_their_side(chest: Phantom) -> None:
    columns = np.arange(chest.hu.shape[2])
    left = np.isin(chest.lobes, [Lobe.LEFT_UPPER, Lobe.LEFT_LOWER])
    right = (chest.lobes > 0) & ~left
    where = np.broadcast_to(columns, chest.hu.shape)
    assert where[right].mean() < where[left].mean()  # the patient's right is on the left


def test_lower_lobes_lie_below_the_upper(chest: Phantom) -> None:
    height = np.broadcast_to(np.arange(30)[:, None, None], chest.hu.shape)
    for upper, lower in [
        (Lobe.LEFT_UPPER, Lobe.LEFT_LOWER),
        (Lobe.RIGHT_UPPER, Lobe.RIGHT_LOWER),
        (Lobe.RIGHT_UPPER, Lobe.RIGHT_MIDDLE),
    ]:
        assert height[chest.lobes == lower].mean() < height[chest.lobes == upper].mean()


def test_attenuation_is_what_the_masks_say(chest: Phantom) -> None:
    inside = binary_erosion(chest.lung, iterations=2)
    healthy = inside & ~binary_dilation(chest.lesion > 0, iterations=2)
    assert -900 < np.median(chest.hu[healthy]) < -750
    glass = np.median(chest.hu[chest.lesion == 1])
    solid = np.median(chest.hu[binary_erosion(chest.lesion == 2)])
    assert np.median(chest.hu[healthy]) + 100 < glass < solid
    assert solid > -200
    around = binary_dilation(chest.lung, iterations=4) & ~binary_dilation(chest.lung, iterations=2)
    assert np.median(chest.hu[around]) > -200


def test_the_affected_share_is_about_what_was_asked(chest: Phantom) -> None:
    assert chest.po == pytest.approx(20, abs=6)


def test_without_lesions_there_are_none() -> None:
    phantom = make_phantom(5, section="thick", slices=2, matrix=64, lesions=False)
    assert phantom.lesion.max() == 0
    assert phantom.po == 0


@pytest.mark.parametrize("anatomy", ["abdomen", "head"])
def test_other_anatomies_have_air_but_no_lung(anatomy: str) -> None:
    phantom = make_phantom(2, anatomy=anatomy, section="thick", slices=20, matrix=128)  # type: ignore[arg-type]
    assert phantom.lung.max() == 0
    assert phantom.po is None
    middle = phantom.hu[:, 40:88, 40:88]
    assert (middle < -800).any()  # gas, sinuses
    assert (phantom.hu > 250).any()  # bone


@pytest.mark.parametrize(
    ("section", "slices", "spacing"),
    [
        (Section.THIN, None, 1.0),
        (Section.THIN, 40, 1.5),
        (Section.THIN, 240, 1.0),
        (Section.THIN, 900, 0.5),
        (Section.MEDIUM, None, 3.0),
        (Section.THICK, 60, 5.0),
        (Section.THICK, 12, 10.0),
    ],
)
def test_spacing_covers_the_body_within_the_limits_of_the_section(
    section: Section, slices: int | None, spacing: float
) -> None:
    body = Scene(work_axis(1), work_axis(1), bottom=-20, top=220)
    heights, distance = slice_heights(body, section, slices)
    assert distance == spacing
    assert len(heights) == (slices or 240 / spacing)
    np.testing.assert_allclose(np.diff(heights), spacing)
    assert np.mean(heights) == pytest.approx(100)


def test_thick_slices_are_less_noisy_than_thin() -> None:
    noise = {}
    for section in (Section.THIN, Section.THICK):
        phantom = make_phantom(6, anatomy="head", section=section, slices=4, matrix=128)
        air = phantom.hu[:, 4:10, 60:68].astype(float)
        noise[section] = air.std()
    assert noise[Section.THICK] < noise[Section.THIN]


@pytest.mark.parametrize("wrong", [{"matrix": 1}, {"slices": 1}, {"lesions": 1.5}])
def test_refuses_what_cannot_be_scanned(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"phantom needs|share must lie"):
        make_phantom(1, **wrong)  # type: ignore[arg-type]
