from __future__ import annotations

import numpy as np
import pytest

from engines.training.models import windowed
from engines.training.synthetic import Painter
from tests.training.made_cases import disks


@pytest.fixture(scope="module")
def painter() -> Painter:
    return Painter(np.random.default_rng(1))


def test_surroundings_change_only_what_was_wiped(painter: Painter) -> None:
    hu, _, _ = disks(1)
    planes, painted = painter.surround(windowed(hu))
    body = hu[0] > -1000
    np.testing.assert_array_equal(planes[:, body], windowed(hu)[:, body])
    assert not painted[body].any()
    assert painted[~body].mean() > 0.5
    assert not np.array_equal(planes[:, painted], windowed(hu)[:, painted])


def test_wiped_air_inside_the_body_stays(painter: Painter) -> None:
    hu, _, _ = disks(1)
    hu[0, 128, 128] = -1024
    _, painted = painter.surround(windowed(hu))
    assert not painted[128, 128]


def test_gas_never_touches_lung_or_unlabelled_pixels(painter: Painter) -> None:
    hu, _, lung = disks(1)
    label = lung.astype(np.float32)
    label[0, :100] = np.nan
    before = windowed(hu)
    changed = np.zeros(lung.shape[1:], bool)
    for _ in range(20):
        changed |= (painter.gas(before, label) != before)[0]
    assert changed.any()
    assert not changed[label[0] != 0].any()


@pytest.mark.parametrize("targets", [1, 8])
def test_opacities_lie_in_lung_and_are_denser(painter: Painter, targets: int) -> None:
    hu, _, lung = disks(targets)
    before, label = windowed(hu), lung.astype(np.float32)
    label[:, 120:] = np.nan
    planes, region = painter.opacity(before, label)
    assert region.shape == label.shape
    assert region.any()
    assert (label[region] == 1).all()
    assert (planes[region] > before[region]).all()
    np.testing.assert_array_equal(planes[label != 1], before[label != 1])


def test_an_opacity_ends_somewhere_above_and_below(painter: Painter) -> None:
    hu, _, lung = disks(40)
    painted = [painter.opacity(windowed(hu), lung.astype(np.float32))[1] for _ in range(5)]
    heights = [region.any(axis=(1, 2)).sum() for region in painted]
    assert 1 <= min(heights) <= max(heights) < 40


def test_without_lung_there_is_no_opacity(painter: Painter) -> None:
    hu, _, lung = disks(1)
    planes, region = painter.opacity(windowed(hu), np.zeros_like(lung, np.float32))
    assert not region.any()
    np.testing.assert_array_equal(planes, windowed(hu))


def test_lung_settles_towards_the_back_only(painter: Painter) -> None:
    hu, _, lung = disks(1, lesion_from=1)
    before = windowed(hu)
    rise = painter.settled(before, lung.astype(np.float32)) - before
    assert rise.min() >= 0
    assert rise[0, 185, 128] > 0.003
    assert rise[0, 90, 128] == 0
    assert (rise[0, hu[0] > -500] == 0).all()


def test_motion_shows_an_edge_twice(painter: Painter) -> None:
    hu, _, _ = disks(1)
    before = windowed(hu)
    moved = [painter.moved(before) for _ in range(5)]
    between = [
        np.unique(planes.round(4)).size > np.unique(before.round(4)).size for planes in moved
    ]
    assert any(between)
    assert all(planes.min() >= before.min() and planes.max() <= before.max() for planes in moved)
