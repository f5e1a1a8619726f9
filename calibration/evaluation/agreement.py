"""How well a score agrees with its reference over cases.

References
----------
Chaganti, Grenier et al. 2020: Pearson, Kendall, regression of the reference on
the score with confidence intervals, chi-squared over bins of 0-1, 1-25, 25-50,
50-75 and 75-100 percent. Pan et al. 2020: Spearman.
Bland and Altman 1986, Lancet 327:307: bias and limits of agreement.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

#: With fewer cases no correlation, regression or limit is given.
LEAST_CASES = 3
#: Percent.
BINS = (0.0, 1.0, 25.0, 50.0, 75.0, 100.0)
_CONFIDENCE = 0.95
_LIMITS_SD = 1.96
Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Correlation:
    """A coefficient and the probability of one as far from 0 where there is no relation."""

    coefficient: float
    p: float


@dataclass(frozen=True, slots=True)
class Regression:
    """reference = intercept + slope * score, by least squares, with 95 % confidence intervals.

    Parameters
    ----------
    slope, intercept, slope_interval, intercept_interval
        Of the line.
    r2
        Coefficient of determination.
    mean_squared_error
        Of the reference from the line.
    """

    slope: float
    slope_interval: tuple[float, float]
    intercept: float
    intercept_interval: tuple[float, float]
    r2: float
    mean_squared_error: float


@dataclass(frozen=True, slots=True)
class ChiSquared:
    """Whether score and reference fill the bins differently; a small p says that they do.

    Parameters
    ----------
    statistic, degrees, p
        Of the contingency test over the bins that are not empty in both.
    score, reference
        Cases in each bin of :data:`BINS`.
    """

    statistic: float
    degrees: int
    p: float
    score: tuple[int, ...]
    reference: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class BlandAltman:
    """Mean of score - reference, and the limits that hold 95 % of the differences."""

    bias: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement of a score with its reference, percent and points.

    None where it cannot be: too few cases (:data:`LEAST_CASES`), constant
    values, or for chi-squared all cases in one bin.
    """

    cases: int
    error_mean: float | None
    error_worst: float | None
    pearson: Correlation | None
    spearman: Correlation | None
    kendall: Correlation | None
    regression: Regression | None
    chi_squared: ChiSquared | None
    bland_altman: BlandAltman | None

    def record(self) -> dict[str, object]:
        """All of it by name, as JSON takes it."""
        return asdict(self)


def agreement(pairs: Sequence[tuple[float | None, float | None]]) -> Agreement:
    """Agreement over cases.

    Parameters
    ----------
    pairs
        Score and reference of each case, percent; pairs with a None are left out.
    """
    whole = [pair for pair in pairs if None not in pair]
    score, reference = np.array(whole, np.float64).reshape(-1, 2).T
    errors = np.abs(score - reference)
    enough = len(whole) >= LEAST_CASES
    varied = enough and _varies(score) and _varies(reference)
    return Agreement(
        cases=len(whole),
        error_mean=float(errors.mean()) if whole else None,
        error_worst=float(errors.max()) if whole else None,
        pearson=_correlation(stats.pearsonr(score, reference)) if varied else None,
        spearman=_correlation(stats.spearmanr(score, reference)) if varied else None,
        kendall=_correlation(stats.kendalltau(score, reference)) if varied else None,
        regression=_regression(score, reference) if varied else None,
        chi_squared=_chi_squared(score, reference) if enough else None,
        bland_altman=_bland_altman(score - reference) if enough else None,
    )


def _varies(values: Values) -> bool:
    return bool(np.ptp(values) > 1e-9)


def _correlation(result: tuple[float, float]) -> Correlation | None:
    coefficient, p = (float(value) for value in result)
    return Correlation(coefficient, p) if math.isfinite(coefficient) and math.isfinite(p) else None


def _regression(score: Values, reference: Values) -> Regression:
    line = stats.linregress(score, reference)
    reach = float(stats.t.ppf((1 + _CONFIDENCE) / 2, len(score) - 2))
    residuals = reference - line.intercept - line.slope * score

    def interval(value: float, error: float) -> tuple[float, float]:
        return float(value - reach * error), float(value + reach * error)

    return Regression(
        slope=float(line.slope),
        slope_interval=interval(line.slope, line.stderr),
        intercept=float(line.intercept),
        intercept_interval=interval(line.intercept, line.intercept_stderr),
        r2=float(line.rvalue**2),
        mean_squared_error=float(np.mean(residuals**2)),
    )


def _chi_squared(score: Values, reference: Values) -> ChiSquared | None:
    table = np.array([np.histogram(values, BINS)[0] for values in (score, reference)])
    filled = table[:, table.any(axis=0)]
    if filled.shape[1] < 2 or not filled.any(axis=1).all():
        return None
    result = stats.chi2_contingency(filled, correction=False)
    return ChiSquared(
        statistic=float(result.statistic),
        degrees=int(result.dof),
        p=float(result.pvalue),
        score=tuple(table[0].tolist()),
        reference=tuple(table[1].tolist()),
    )


def _bland_altman(differences: Values) -> BlandAltman:
    bias, spread = float(differences.mean()), float(differences.std(ddof=1))
    return BlandAltman(bias, bias - _LIMITS_SD * spread, bias + _LIMITS_SD * spread)
