"""Logistic regression by maximum likelihood, for a handful of columns.

References
----------
McCullagh and Nelder 1989, "Generalized Linear Models", 2.5 and 4.4: iteratively reweighted
least squares, standard errors from the information matrix.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.optimize import linprog
from scipy.special import expit

Values = npt.NDArray[np.float64]
_STEPS = 100
_CONVERGED = 1e-10
_SEPARATED = 1e-7
_CONFIDENCE = 0.95
#: Of what exp still is a number.
_LARGEST = 709.0


class SeparatedError(Exception):
    """A line parts both kinds, so that the likelihood has no finite maximum."""


@dataclass(frozen=True, slots=True)
class OddsRatio:
    """By what the odds grow with one standard deviation of a column, 95 % interval, p (Wald)."""

    sd: float
    ratio: float
    interval: tuple[float, float]
    p: float


@dataclass(frozen=True, slots=True)
class LogisticFit:
    """log odds = intercept + coefficients * columns.

    Parameters
    ----------
    intercept, coefficients
        In units of the columns.
    odds
        For one standard deviation of each column.
    aic
        Akaike's information criterion.
    n
        Rows.
    """

    intercept: float
    coefficients: tuple[float, ...]
    odds: tuple[OddsRatio, ...]
    aic: float
    n: int

    def probabilities(self, columns: Values) -> Values:
        """Shape (rows,), for columns of shape (rows, columns)."""
        found: Values = expit(self.intercept + columns @ np.array(self.coefficients))
        return found


def fit_logistic(columns: Values, outcome: npt.NDArray[np.bool_]) -> LogisticFit:
    """Fit by Newton's method on standardised columns.

    Parameters
    ----------
    columns
        Shape (rows, columns), none constant.
    outcome
        Shape (rows,), both kinds present.

    Raises
    ------
    SeparatedError
        When a line parts both kinds, but for scans on the line itself.
    """
    means, spreads = columns.mean(axis=0), columns.std(axis=0, ddof=1)
    design = np.column_stack((np.ones(len(columns)), (columns - means) / spreads))
    if _is_separated(design, outcome):
        raise SeparatedError
    weights, information = _maximum(design, outcome)
    errors = np.sqrt(np.diag(np.linalg.inv(information)))[1:]
    coefficients = weights[1:] / spreads
    signs = np.where(outcome, 1.0, -1.0)
    deviance = 2 * float(np.logaddexp(0, -signs * (design @ weights)).sum())
    return LogisticFit(
        intercept=float(weights[0] - means @ coefficients),
        coefficients=tuple(coefficients.tolist()),
        odds=tuple(
            _odds(spread, weight, error)
            for spread, weight, error in zip(
                spreads.tolist(), weights[1:].tolist(), errors.tolist(), strict=True
            )
        ),
        aic=deviance + 2 * design.shape[1],
        n=len(outcome),
    )


def _maximum(design: Values, outcome: npt.NDArray[np.bool_]) -> tuple[Values, Values]:
    """Weights of the largest likelihood, and the information there; steps that overshoot halve."""
    signs = np.where(outcome, 1.0, -1.0)

    def loss(weights: Values) -> float:
        return float(np.logaddexp(0, -signs * (design @ weights)).sum())

    weights = np.zeros(design.shape[1])
    for _ in range(_STEPS):
        chances = expit(design @ weights)
        information = (design * (chances * (1 - chances))[:, None]).T @ design
        step = np.linalg.solve(information, design.T @ (outcome - chances))
        while loss(weights + step) > loss(weights) + _CONVERGED:
            step = step / 2
        weights = weights + step
        if np.abs(step).max() < _CONVERGED:
            break
    return weights, information


def _is_separated(design: Values, outcome: npt.NDArray[np.bool_]) -> bool:
    """Whether a direction exists in which no row is worse and some are better (Konis 2007)."""
    towards = design * np.where(outcome, 1.0, -1.0)[:, None]
    found = linprog(-towards.sum(axis=0), A_ub=-towards, b_ub=np.zeros(len(design)), bounds=(-1, 1))
    return bool(-found.fun > _SEPARATED * len(design))


def _odds(spread: float, weight: float, error: float) -> OddsRatio:
    reach = float(stats.norm.ppf((1 + _CONFIDENCE) / 2)) * error
    return OddsRatio(
        sd=spread,
        ratio=math.exp(weight),
        interval=(math.exp(weight - reach), math.exp(min(weight + reach, _LARGEST))),
        p=2 * float(stats.norm.sf(abs(weight / error))),
    )
