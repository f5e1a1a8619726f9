from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.evaluation import agreement
from calibration.evaluation.agreement import BlandAltman, Correlation

PERCENT = st.floats(0, 100, allow_nan=False)
#: Anscombe's first quartet: mean of x 9, slope 0.5, intercept 3, r 0.816.
ANSCOMBE_X = [10, 8, 13, 9, 11, 14, 6, 4, 12, 7, 5]
ANSCOMBE_Y = [8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68]


def test_known_values_of_anscombes_quartet() -> None:
    found = agreement(list(zip(ANSCOMBE_X, ANSCOMBE_Y, strict=True)))
    assert found.cases == 11
    assert found.regression is not None
    assert found.regression.slope == pytest.approx(0.5001, abs=1e-4)
    assert found.regression.intercept == pytest.approx(3.0001, abs=1e-4)
    assert found.regression.r2 == pytest.approx(0.6665, abs=1e-4)
    assert found.regression.slope_interval == pytest.approx((0.2334, 0.7668), abs=1e-3)
    assert found.regression.intercept_interval == pytest.approx((0.4557, 5.5444), abs=1e-3)
    assert found.regression.mean_squared_error == pytest.approx(13.7627 / 11, abs=1e-4)
    assert found.pearson is not None
    assert found.pearson.coefficient == pytest.approx(0.81642, abs=1e-5)
    assert found.pearson.p == pytest.approx(0.00217, abs=1e-5)


def test_ranks_that_differ_in_one_pair() -> None:
    found = agreement([(1, 1), (2, 3), (3, 2), (4, 4)])
    assert found.kendall is not None
    assert found.kendall.coefficient == pytest.approx(4 / 6)
    assert found.spearman is not None
    assert found.spearman.coefficient == pytest.approx(1 - 6 * 2 / (4 * 15))


def test_errors_and_limits_by_hand() -> None:
    found = agreement([(11, 10), (19, 20), (33, 30)])
    assert found.error_mean == pytest.approx(5 / 3)
    assert found.error_worst == pytest.approx(3)
    assert found.bland_altman is not None
    assert found.bland_altman.bias == pytest.approx(1)
    assert found.bland_altman.lower == pytest.approx(1 - 1.96 * 2)
    assert found.bland_altman.upper == pytest.approx(1 + 1.96 * 2)


def test_bins_are_those_of_the_paper() -> None:
    edges = [0, 0.999, 1, 24.9, 25, 50, 75, 100]
    found = agreement([(value, 0.5) for value in edges])
    assert found.chi_squared is not None
    assert found.chi_squared.score == (2, 2, 1, 1, 2)
    assert found.chi_squared.reference == (8, 0, 0, 0, 0)
    # Expected 5, 1, 0.5, 0.5, 1 in each row.
    assert found.chi_squared.statistic == pytest.approx(2 * (9 / 5 + 1 + 0.5 + 0.5 + 1))
    assert found.chi_squared.degrees == 4
    assert found.chi_squared.p == pytest.approx(math.exp(-4.8) * (1 + 4.8), rel=1e-9)


def test_cases_of_one_bin_have_no_chi_squared() -> None:
    assert agreement([(2, 3), (3, 4), (5, 4)]).chi_squared is None


@pytest.mark.parametrize("pairs", [[], [(1.0, 2.0)], [(1.0, 2.0), (2.0, 3.0)]])
def test_too_few_cases_have_no_statistics(pairs: list[tuple[float, float]]) -> None:
    found = agreement(pairs)
    assert found.cases == len(pairs)
    assert (found.error_mean is None) == (not pairs)
    assert found.pearson is found.regression is found.bland_altman is found.chi_squared is None


def test_constant_values_have_no_correlation() -> None:
    found = agreement([(1.0, 2.0), (1.0, 3.0), (1.0, 4.0)])
    assert found.pearson is found.spearman is found.kendall is found.regression is None
    assert found.bland_altman is not None


def test_cases_without_a_figure_are_left_out() -> None:
    whole = [(1.0, 1.5), (2.0, 2.5), (9.0, 8.0)]
    assert agreement([*whole, (None, 1.0), (1.0, None)]) == agreement(whole)


@given(st.lists(st.tuples(PERCENT, PERCENT), max_size=12))
def test_never_more_than_json_can_say(pairs: list[tuple[float, float]]) -> None:
    record = agreement(pairs).record()
    json.dumps(record, allow_nan=False)


@given(st.lists(PERCENT, min_size=3, max_size=12, unique_by=lambda value: round(value, 3)))
def test_what_equals_its_reference_agrees(values: list[float]) -> None:
    found = agreement([(value, value) for value in values])
    assert found.error_worst == 0
    assert found.kendall is not None
    assert found.kendall.coefficient == pytest.approx(1)
    assert isinstance(found.pearson, Correlation)
    assert found.pearson.coefficient == pytest.approx(1)
    assert found.regression is not None
    assert found.regression.slope == pytest.approx(1, abs=1e-6)
    assert found.bland_altman == BlandAltman(0, 0, 0)
