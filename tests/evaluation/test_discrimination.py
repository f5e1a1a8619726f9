"""ROC figures against counting every pair, and against tables drawn again."""

from __future__ import annotations

import json

import numpy as np
import pytest

from calibration.evaluation.discrimination import (
    delong,
    discrimination,
    proportion,
    roc,
    youden_cut,
)


def kernels(ill: np.ndarray, well: np.ndarray) -> np.ndarray:
    """Of every pair whether the ill one scores higher; one half where both score alike."""
    return np.array([[(a > b) + 0.5 * (a == b) for b in well] for a in ill])


@pytest.mark.parametrize("seed", range(4))
def test_area_and_variance_are_those_of_every_pair(seed: int) -> None:
    random = np.random.default_rng(seed)
    ill, well = random.integers(2, 12, 23).astype(float), random.integers(0, 9, 31).astype(float)
    pairs = kernels(ill, well)
    auc, variance = delong(ill, well)
    assert auc == pytest.approx(pairs.mean())
    expected = pairs.mean(axis=1).var(ddof=1) / 23 + pairs.mean(axis=0).var(ddof=1) / 31
    assert variance == pytest.approx(expected)


def test_the_interval_is_that_of_scans_drawn_again() -> None:
    random = np.random.default_rng(1)
    ill, well = random.normal(1.2, 1, 80), random.normal(0, 1, 120)
    severe = [True] * 80 + [False] * 120
    found = discrimination([*ill, *well], severe)
    assert found is not None
    areas = [delong(random.choice(ill, 80), random.choice(well, 120))[0] for _ in range(2000)]
    low, high = np.quantile(areas, [0.025, 0.975])
    assert found.auc_interval == pytest.approx((low, high), abs=0.012)
    assert (found.severe, found.others) == (80, 120)
    assert found.p < 1e-6


def test_the_best_cut_of_a_few_scans() -> None:
    """Severe 3 5 6 8, others 1 2 4 7: from 2.5 on all severe and two of four others."""
    found = discrimination([3, 5, 6, 8, 1, 2, 4, 7], [True] * 4 + [False] * 4)
    assert found is not None
    assert found.auc == pytest.approx(12 / 16)
    cut = found.cut
    assert cut is not None
    assert (cut.value, cut.youden) == (2.5, 0.5)
    assert (cut.sensitivity.count, cut.specificity.count) == (4, 2)


def test_the_cut_is_the_best_of_all() -> None:
    random = np.random.default_rng(7)
    ill, well = random.normal(1, 1, 40), random.normal(0, 1, 50)
    cut = youden_cut(ill, well)
    grid = np.linspace(-4, 5, 5001)
    sums = (ill[:, None] > grid).mean(axis=0) + (well[:, None] <= grid).mean(axis=0)
    assert cut.youden == pytest.approx(sums.max() - 1)
    assert cut.youden == pytest.approx(cut.sensitivity.share + cut.specificity.share - 1)


def test_the_curve_goes_from_corner_to_corner() -> None:
    cuts, sensitivity, false_positive = roc(np.array([2.0, 3.0]), np.array([1.0, 2.0]))
    assert cuts.tolist() == [-np.inf, 1.5, 2.5, np.inf]
    assert sensitivity.tolist() == [1, 1, 0.5, 0]
    assert false_positive.tolist() == [1, 0.5, 0, 0]


def test_the_published_interval_of_a_specificity() -> None:
    """Li, Zhong et al. 2020, table 2: 409 of 452, 87.60 to 92.79 %; theirs is not stated to be
    exact, and lies within a quarter of a point."""
    found = proportion(409, 452)
    assert found.share == pytest.approx(0.9049, abs=5e-5)
    assert found.interval == pytest.approx((0.8760, 0.9279), abs=0.0025)


def test_edges() -> None:
    assert discrimination([1, 2, 3], [True, False, False]) is None
    apart = discrimination([3, 4, 1, 2], [True, True, False, False])
    assert apart is not None
    assert (apart.auc, apart.auc_interval) == (1.0, (1.0, 1.0))
    constant = discrimination([1, 1, 1, 1], [True, True, False, False])
    assert constant is not None
    assert (constant.auc, constant.p, constant.cut) == (0.5, 1.0, None)
    for found in (apart, constant):
        assert json.dumps(found.record(), allow_nan=False)
