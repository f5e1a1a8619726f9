from __future__ import annotations

import numpy as np
import pytest

from calibration.phantom.shapes import (
    Grid,
    Neighbours,
    between,
    column,
    common,
    ellipsoid,
    interpolation,
    random_field,
    union,
)

_GRID = Grid.over((0.0, -20.0, -20.0), (30.0, 20.0, 20.0), 2.0)


def test_a_grid_covers_its_box() -> None:
    assert _GRID.shape == (16, 21, 21)
    assert _GRID.axis(0)[-1] >= 30
    assert _GRID.axis(1)[0] == -20


def test_distance_to_a_ball_is_exact() -> None:
    ball = ellipsoid(_GRID.coordinates, (14.0, 0.0, 0.0), (8.0, 8.0, 8.0))
    z, y, x = _GRID.coordinates
    expected = np.sqrt((z - 14) ** 2 + y**2 + x**2) - 8
    np.testing.assert_allclose(ball, expected, atol=1e-4)


def test_a_column_does_not_change_along_z() -> None:
    distance = column(_GRID.coordinates, (0.0, 4.0), (5.0, 5.0))
    assert distance.shape == (1, 21, 21)
    assert distance[0, 10, 12] == pytest.approx(-5)


def test_union_and_common() -> None:
    left = ellipsoid(_GRID.coordinates, (14.0, 0.0, -4.0), (8.0, 8.0, 8.0)) < 0
    right = ellipsoid(_GRID.coordinates, (14.0, 0.0, 4.0), (8.0, 8.0, 8.0)) < 0
    a, b = np.where(left, -1.0, 1.0), np.where(right, -1.0, 1.0)
    np.testing.assert_array_equal(union(a, b) < 0, left | right)
    np.testing.assert_array_equal(common(a, b) < 0, left & right)


def test_interpolation_is_linear_and_clamps() -> None:
    source = np.array([0, 2, 4], np.float32)
    target = np.array([-5, 0, 1, 3.5, 9], np.float32)
    values = np.array([10, 20, 40], np.float32)
    expected = [10, 10, 15, 35, 40]
    np.testing.assert_allclose(interpolation(source, target) @ values, expected)
    rows = Neighbours.of(source, target).rows_of(values[:, None])
    np.testing.assert_allclose(rows[:, 0], expected)


def test_planes_between_two_are_mixed() -> None:
    volume = np.stack([np.zeros((2, 2)), np.ones((2, 2))])
    grid = Grid((10.0, 0.0, 0.0), 4.0, (2, 2, 2))
    assert between(volume, grid, 11.0)[0, 0] == pytest.approx(0.25)
    assert between(volume, grid, 99.0)[0, 0] == 1


def test_random_fields_are_standardised() -> None:
    field = random_field(np.random.default_rng(1), _GRID, 6.0)
    assert field.mean() == pytest.approx(0, abs=1e-4)
    assert field.std() == pytest.approx(1, abs=1e-4)
