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
    lung[0, :100] = 255
    before = windowed(hu)
    changed = np.zeros(lung.shape[1:], bool)
    for _ in range(20):
        changed |= (painter.gas(before, lung[0]) != before)[0]  # type: ignore[arg-type]
    assert changed.any()
    assert not changed[lung[0] != 0].any()


def test_opacities_lie_in_lung_and_are_denser(painter: Painter) -> None:
    hu, _, lung = disks(1)
    before = windowed(hu)
    planes, region = painter.opacity(before, lung[0])  # type: ignore[arg-type]
    assert region.any()
    assert not region[lung[0] == 0].any()
    assert (planes[0][region] > before[0][region]).all()
    np.testing.assert_array_equal(planes[0][lung[0] == 0], before[0][lung[0] == 0])


def test_without_lung_there_is_no_opacity(painter: Painter) -> None:
    hu, _, lung = disks(1)
    planes, region = painter.opacity(windowed(hu), np.zeros_like(lung[0]))  # type: ignore[arg-type]
    assert not region.any()
    np.testing.assert_array_equal(planes, windowed(hu))
