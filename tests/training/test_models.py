from __future__ import annotations

import numpy as np
import pytest

from engines.training.models import PLANS, WINDOW_HU, plane_indices, windowed


def test_the_window_maps_its_ends_and_clips() -> None:
    low, high = WINDOW_HU
    values = windowed(np.array([-3000, low, (low + high) / 2, high, 3000]))
    np.testing.assert_allclose(values, [0, 0, 0.5, 1, 1])
    assert values.dtype == np.float32


@pytest.mark.parametrize(
    ("target", "spacing", "expected"),
    [
        (10, 1.0, [7, 10, 13]),
        (10, 1.25, [8, 10, 12]),
        (10, 5.0, [9, 10, 11]),
        (10, 0.56, [5, 10, 15]),
        (1, 1.0, [0, 1, 4]),
        (19, 1.0, [16, 19, 19]),
    ],
)
def test_neighbours_are_about_3_mm_away(target: int, spacing: float, expected: list[int]) -> None:
    assert plane_indices(target, 20, spacing, 3, 3.0) == expected


def test_one_plane_is_the_target() -> None:
    assert plane_indices(4, 20, 1.0, 1, 0.0) == [4]


def test_each_plan_has_a_network_for_its_planes() -> None:
    for role, plan in PLANS.items():
        assert plan.role == role
        first = next(p for p in plan.network().parameters())
        assert first.shape[1] == plan.planes
