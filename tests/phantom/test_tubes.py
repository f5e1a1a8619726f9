from __future__ import annotations

import numpy as np
import pytest

from calibration.phantom.shapes import Grid
from calibration.phantom.tubes import FULL, draw, joined, line, tree

_GRID = Grid((0.0, 0.0, 0.0), 1.0, (40, 40, 40))


def test_a_straight_tube_has_the_volume_of_its_cylinder() -> None:
    volume = draw(line([(-10, 20, 20), (50, 20, 20)], 4.0), _GRID)
    area = volume[20].astype(float).sum() / FULL
    assert area == pytest.approx(np.pi * 16, rel=0.06)


def test_a_thin_tube_covers_its_voxels_partly() -> None:
    volume = draw(line([(-10, 20, 20.5), (50, 20, 20.5)], 0.4), _GRID)
    assert 0 < volume.max() < FULL


def test_tubes_outside_the_grid_are_cut_off() -> None:
    volume = draw(line([(20, -30, 20), (20, 5, 20)], 2.0), _GRID)
    assert volume[20, 0, 20] == FULL
    assert volume[:, 12:].max() == 0


def test_a_tree_reaches_every_end_and_tapers() -> None:
    rng = np.random.default_rng(2)
    ends = rng.uniform(5, 35, (60, 3)).astype(np.float32)
    tubes = tree((20, 20, 0), ends, 0.6)
    away = np.linalg.norm(tubes.centres[:, None] - ends[None], axis=2).min(axis=0)
    assert away.max() < 0.01
    near_root = np.linalg.norm(tubes.centres - np.array([20, 20, 0]), axis=1) < 4
    assert tubes.radii[near_root].max() == tubes.radii.max()
    assert tubes.radii.min() == pytest.approx(0.6)


def test_grown_tubes_are_wider() -> None:
    tube = joined(line([(0, 0, 0), (10, 0, 0)], 2.0), line([(0, 5, 0), (10, 5, 0)], 1.0))
    np.testing.assert_allclose(tube.grown(1.5, 0.5).radii, 1.5 * tube.radii + 0.5)
