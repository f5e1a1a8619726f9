"""The region of interest: where it lies, what it holds, and the way back."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from engines.region import Mask, Places, Region, Volume

SHAPE = (16, 16, 24)
PLACES: tuple[Places, Places, Places] = (
    np.arange(40) * 5.0,
    np.arange(64) * 3.0,
    np.arange(64) * 3.0,
)


def two_lungs() -> tuple[Volume, Mask]:
    lung = np.zeros((40, 64, 64), np.bool_)
    lung[5:35, 10:50, 6:28] = True
    lung[5:35, 10:50, 36:58] = True
    planes = np.where(lung, np.float32(0.3), np.float32(0.9))
    return planes.astype(np.float32), lung


def test_the_box_holds_the_lungs_with_a_margin() -> None:
    _, lung = two_lungs()
    region = Region.around(lung, PLACES, SHAPE)
    for axis, (first, last) in zip(region.axes, ((25, 170), (30, 147), (18, 171)), strict=True):
        assert axis.places[2] == pytest.approx(first)
        assert axis.places[-3] == pytest.approx(last)


def test_a_speck_of_gas_does_not_stretch_the_box() -> None:
    _, lung = two_lungs()
    specked = lung.copy()
    specked[0, 60, 60] = True
    assert Region.around(specked, PLACES, SHAPE) == Region.around(lung, PLACES, SHAPE)


def test_voxels_are_no_smaller_than_2_mm() -> None:
    lung = np.zeros((4, 8, 8), np.bool_)
    lung[1:3, 2:4, 2:4] = True
    places = tuple(np.arange(size, dtype=np.float64) for size in lung.shape)
    region = Region.around(lung, (places[0], places[1], places[2]), SHAPE)
    assert [axis.step for axis in region.axes] == [2.0, 2.0, 2.0]


def test_values_are_means_of_lung_alone() -> None:
    planes, lung = two_lungs()
    values, share = Region.around(lung, PLACES, SHAPE).sample(planes, lung, PLACES)
    assert values.shape == share.shape == SHAPE
    np.testing.assert_allclose(values[share >= 0.5], 0.3, rtol=1e-5)
    assert not values[share < 0.5].any()
    assert (share >= 0.5).mean() > 0.35


def test_uneven_slices_are_weighed_by_where_they_lie() -> None:
    _, lung = two_lungs()
    ramp = np.where(lung, 0.2 + 0.001 * PLACES[0][:, None, None], 0).astype(np.float32)
    kept = np.r_[0:12, 13:20, 20:40:2]
    places = (PLACES[0][kept], PLACES[1], PLACES[2])
    region = Region.around(lung[kept], places, SHAPE)
    values, share = region.sample(ramp[kept], lung[kept], places)
    expected = 0.2 + 0.001 * region.axes[0].places
    for plane in range(4, 12):
        found = values[plane][share[plane] >= 0.9]
        np.testing.assert_allclose(found, expected[plane], atol=0.006)


def test_the_way_back_is_linear_and_clamped() -> None:
    _, lung = two_lungs()
    region = Region.around(lung, PLACES, SHAPE)
    axis = region.axes[1]
    maps = np.broadcast_to(axis.places[None, None, :, None], (1, *SHAPE)).astype(np.float32)
    found = np.stack(list(region.interpolate(maps, PLACES)), axis=1)
    assert found.shape == (1, *lung.shape)
    expected = np.clip(PLACES[1], axis.places[0], axis.places[-1])
    np.testing.assert_allclose(found[0, 3, :, 5], expected, rtol=1e-4, atol=1e-3)


def test_no_lung_has_no_region() -> None:
    nothing: npt.NDArray[np.bool_] = np.zeros((40, 64, 64), np.bool_)
    with pytest.raises(ValueError, match="no lung"):
        Region.around(nothing, PLACES, SHAPE)


def test_one_slice_will_do() -> None:
    planes, lung = two_lungs()
    places = (PLACES[0][:1], PLACES[1], PLACES[2])
    region = Region.around(lung[10:11], places, SHAPE)
    values, _ = region.sample(planes[10:11], lung[10:11], places)
    assert values.any()
    assert [one.shape for one in region.interpolate(values[None], places)] == [(1, 64, 64)]
