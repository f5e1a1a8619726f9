"""Logistic regression against closed forms and against a general optimiser."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import minimize

from calibration.logistic import SeparatedError, fit_logistic


def test_one_column_of_two_values_has_a_closed_form() -> None:
    """Of 40 exposed 25 are ill, of 60 others 12: the coefficient is the log odds ratio."""
    column = np.array([1.0] * 40 + [0.0] * 60)[:, None]
    outcome = np.array([True] * 25 + [False] * 15 + [True] * 12 + [False] * 48)
    fit = fit_logistic(column, outcome)
    log_ratio = math.log(25 / 15 / (12 / 48))
    assert fit.intercept == pytest.approx(math.log(12 / 48))
    assert fit.coefficients[0] == pytest.approx(log_ratio)
    sd = column.std(ddof=1)
    (odds,) = fit.odds
    assert odds.sd == pytest.approx(sd)
    assert odds.ratio == pytest.approx(math.exp(log_ratio * sd))
    error = math.sqrt(1 / 25 + 1 / 15 + 1 / 12 + 1 / 48)
    low, high = (math.exp(sd * (log_ratio + sign * 1.959964 * error)) for sign in (-1, 1))
    assert odds.interval == pytest.approx((low, high), rel=1e-5)
    assert odds.p == pytest.approx(math.erfc(log_ratio / error / math.sqrt(2)))
    likelihood = sum(
        count * math.log(count / total) for count, total in ((25, 40), (15, 40), (12, 60), (48, 60))
    )
    assert fit.aic == pytest.approx(4 - 2 * likelihood)
    assert fit.probabilities(np.array([[1.0], [0.0]])).tolist() == pytest.approx([25 / 40, 0.2])


def made(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """POI and iHU like those of scans, and an outcome that follows from them."""
    random = np.random.default_rng(seed)
    columns = np.column_stack((random.beta(1, 6, rows), random.normal(-500, 100, rows)))
    chances = 1 / (1 + np.exp(-(1.0 + 12 * columns[:, 0] + 0.008 * columns[:, 1])))
    return columns, random.random(rows) < chances


def test_two_columns_are_fitted_as_a_general_optimiser_does() -> None:
    columns, outcome = made(400, 3)
    fit = fit_logistic(columns, outcome)
    scale = columns.std(axis=0)

    def loss(weights: np.ndarray) -> float:
        odds = weights[0] + (columns / scale) @ weights[1:]
        return float(np.logaddexp(0, np.where(outcome, -odds, odds)).sum())

    other = minimize(
        loss,
        np.zeros(3),
        method="Nelder-Mead",
        options={"maxiter": 20_000, "maxfev": 20_000, "xatol": 1e-9, "fatol": 1e-12},
    )
    assert [fit.intercept, *fit.coefficients] == pytest.approx(
        [other.x[0], *(other.x[1:] / scale)], rel=1e-4
    )
    assert fit.aic == pytest.approx(2 * other.fun + 6, abs=1e-6)


def test_what_made_the_table_is_found_again() -> None:
    columns, outcome = made(40_000, 8)
    fit = fit_logistic(columns, outcome)
    assert fit.coefficients == pytest.approx((12, 0.008), rel=0.06)
    assert fit.intercept == pytest.approx(1.0, abs=0.2)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    held = 0
    for seed in range(100):
        columns, outcome = made(300, 100 + seed)
        odds = fit_logistic(columns, outcome).odds[0]
        truth = math.exp(12 * odds.sd)
        held += odds.interval[0] < truth < odds.interval[1]
    assert 89 <= held <= 100


@pytest.mark.parametrize("touching", [False, True], ids=["complete", "quasi-complete"])
def test_what_a_line_parts_is_refused(touching: bool) -> None:
    column = np.arange(20.0)[:, None]
    outcome = column[:, 0] > 9
    if touching:
        column = np.concatenate((column, [[9.5], [9.5]]))
        outcome = np.concatenate((outcome, [True, False]))
    with pytest.raises(SeparatedError):
        fit_logistic(column, outcome)


def test_one_scan_on_the_wrong_side_is_enough() -> None:
    column = np.arange(20.0)[:, None]
    outcome = column[:, 0] > 9
    outcome[5] = True
    fit = fit_logistic(column, outcome)
    assert 0 < fit.coefficients[0] < 5
