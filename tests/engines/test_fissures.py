"""Borders of lobes are moved onto fissures that a model saw, and by nothing else."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from engines.fissures import follow_fissures

SHAPE = (48, 40, 56)
MIDDLE = SHAPE[2] // 2

Volume = npt.NDArray[np.float32]
Heights = tuple[npt.NDArray[np.float64], ...]


def heights(oblique: float, horizontal: float, left: float) -> Heights:
    """Fissures over rows and columns: oblique and horizontal of the right, oblique of the left."""
    y = np.broadcast_to(np.linspace(-1, 1, SHAPE[1])[:, None], SHAPE[1:])
    return 20 + oblique + 14 * y, 27 + horizontal + 2 * y, 22 + left + 13 * y


def lobes_of(fissures: Heights) -> Volume:
    """Probabilities of lobes that meet there, over all of the volume."""
    z = np.arange(SHAPE[0])[:, None, None]
    below = [1 / (1 + np.exp(z - height)) for height in fissures]
    right = np.broadcast_to(np.arange(SHAPE[2]) < MIDDLE, SHAPE)
    high = right * (1 - below[0])
    maps = (high * (1 - below[1]), high * below[1], right * below[0])
    return np.stack([*maps, ~right * (1 - below[2]), ~right * below[2]]).astype(np.float32)


def floors(fissures: Heights) -> Volume:
    """Evidence of the fissures, each where it bounds lobes."""
    z = np.arange(SHAPE[0])[:, None, None]
    shown = [0.4 * np.exp(-((z - height) ** 2) / 2) for height in fissures]
    right = np.arange(SHAPE[2]) < MIDDLE
    of_right = np.maximum(shown[0], np.where(z > fissures[0], shown[1], 0))
    return np.where(right, of_right, shown[2]).astype(np.float32)


def spots(rng: np.random.Generator) -> Volume:
    """Evidence where vessels are taken for fissures."""
    return np.where(rng.random(SHAPE) < 0.02, np.float32(0.5), np.float32(0))


def volumes(maps: Volume) -> npt.NDArray[np.intp]:
    return np.bincount(maps.argmax(axis=0).ravel(), minlength=5)


@pytest.fixture
def lung() -> npt.NDArray[np.bool_]:
    inside = np.zeros(SHAPE, np.bool_)
    inside[3:-3, 3:-3, 3:-3] = True
    inside[:, :, MIDDLE - 2 : MIDDLE + 2] = False
    return inside


def test_borders_move_onto_the_fissures_that_were_seen(lung: npt.NDArray[np.bool_]) -> None:
    true, guessed = heights(2.5, 1.5, -3), heights(0, 0, 0)
    evidence = np.maximum(floors(true), spots(np.random.default_rng(1)))
    before = lobes_of(guessed)
    after = follow_fissures(before * (1 - evidence), lung)
    np.testing.assert_allclose(after.sum(axis=0), 1, atol=1e-4)
    truth = lobes_of(true).argmax(axis=0)
    wrong = [float(np.mean(maps.argmax(axis=0)[lung] != truth[lung])) for maps in (before, after)]
    assert wrong[0] > 0.07
    assert wrong[1] < 0.02


def test_spots_move_no_border(lung: npt.NDArray[np.bool_]) -> None:
    before = lobes_of(heights(0, 0, 0))
    after = follow_fissures(before * (1 - spots(np.random.default_rng(2))), lung)
    moved = before.argmax(axis=0)[lung] != after.argmax(axis=0)[lung]
    assert moved.mean() < 0.01


def test_a_model_that_sees_no_fissures_keeps_its_answer(lung: npt.NDArray[np.bool_]) -> None:
    maps = lobes_of(heights(1, 2, 3))
    assert follow_fissures(maps, lung) is maps


def test_lungs_without_a_border_stay_whole(lung: npt.NDArray[np.bool_]) -> None:
    maps = lobes_of(heights(0, 0, 0))
    maps[2] += maps[:2].sum(axis=0)
    maps[:2] = 0
    after = follow_fissures(maps * (1 - floors(heights(0, 0, 0))), lung)
    assert volumes(after)[:2].sum() == 0
    assert volumes(after)[2] == volumes(maps)[2]
