"""Kappa against tables that others published or that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.evaluation.kappa import Kappa, cohens_kappa


def judged(table: list[list[int]]) -> Kappa:
    """Kappa of a table of counts."""
    pairs = [
        (row, column)
        for row, counts in enumerate(table)
        for column, count in enumerate(counts)
        for _ in range(count)
    ]
    first, second = zip(*pairs, strict=True)
    found = cohens_kappa(first, second)
    assert found is not None
    return found


def test_a_table_worked_out_by_hand() -> None:
    """Observed 0.7, by chance 0.5 * 0.6 + 0.5 * 0.4."""
    found = judged([[20, 5], [10, 15]])
    assert found.pairs == 50
    assert found.observed == pytest.approx(0.7)
    assert found.kappa == pytest.approx(0.4)


def test_the_published_change_of_infection_on_whole_lungs() -> None:
    """Li, Zhong et al. 2020, table 4: 142 pairs, agreement 0.9155, kappa 0.8220, error 0.0492."""
    found = judged([[49, 6], [6, 81]])
    assert found.pairs == 142
    assert found.observed == pytest.approx(0.9155, abs=5e-5)
    assert found.kappa == pytest.approx(0.8220, abs=1e-4)
    assert found.error == pytest.approx(0.0492, abs=1e-4)


def test_the_error_is_that_of_tables_drawn_again() -> None:
    """Fleiss et al. 1969 against 4000 tables drawn from the same chances."""
    table = np.array([[88, 10, 2], [14, 40, 6], [18, 10, 12]])
    found = judged(table.tolist())
    total = int(table.sum())
    draws = np.random.default_rng(5).multinomial(total, table.ravel() / total, 4000)
    kappas = []
    for drawn in draws.reshape(-1, 3, 3):
        chance = drawn.sum(axis=0) @ drawn.sum(axis=1) / total**2
        kappas.append((np.trace(drawn) / total - chance) / (1 - chance))
    assert found.error == pytest.approx(np.std(kappas), rel=0.05)
    assert found.interval is not None
    inside = np.mean([found.interval[0] < one < found.interval[1] for one in kappas])
    assert inside == pytest.approx(0.95, abs=0.02)


def test_full_agreement_and_none_at_all() -> None:
    full = judged([[5, 0], [0, 3]])
    assert (full.kappa, full.error, full.interval) == (1.0, 0.0, (1.0, 1.0))
    assert judged([[0, 4], [4, 0]]).kappa == -1.0


def test_what_has_no_kappa() -> None:
    assert cohens_kappa([], []) is None
    constant = judged([[7]])
    assert (constant.observed, constant.kappa, constant.interval) == (1.0, None, None)
    assert judged([[0, 9], [0, 0]]).kappa == 0.0
