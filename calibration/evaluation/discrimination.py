"""How well a score tells severe scans from others: ROC, its area, the best cut.

References
----------
DeLong, DeLong and Clarke-Pearson 1988, Biometrics 44:837: variance of the area under the ROC
curve. Youden 1950, Cancer 3:32: the index. Clopper and Pearson 1934, Biometrika 26:404: exact
intervals of proportions. Li, Zhong et al. 2020 (thick sections) report the same figures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

CONFIDENCE = 0.95
#: Fewer of either kind have no area worth an interval.
LEAST_OF_A_KIND = 2
Interval = tuple[float, float]
Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Proportion:
    """`count` of `total`, with its exact 95 % interval."""

    count: int
    total: int
    share: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class Cut:
    """Above `value` a scan is called severe; `youden` is sensitivity + specificity - 1.

    `value` lies halfway between the two scores that it parts.
    """

    value: float
    youden: float
    sensitivity: Proportion
    specificity: Proportion


@dataclass(frozen=True, slots=True)
class Discrimination:
    """A score against an outcome of two kinds.

    Parameters
    ----------
    severe, others
        Scans of either kind.
    auc, auc_interval
        Area under the ROC curve, where a larger score means severe; 95 % by DeLong's variance,
        cut at 0 and 1. Where the score parts both kinds wholly that variance is 0, and the
        interval says nothing.
    p
        Probability of an area as far from one half where the score tells nothing (rank sums,
        Mann and Whitney).
    cut
        With the largest Youden index; of equal ones the most sensitive. None where all scores
        are equal.
    """

    severe: int
    others: int
    auc: float
    auc_interval: Interval
    p: float
    cut: Cut | None

    def record(self) -> dict[str, object]:
        """All of it by name, as JSON takes it."""
        return asdict(self)


def discrimination(scores: Sequence[float], severe: Sequence[bool]) -> Discrimination | None:
    """How well scores tell severe scans from others; None with fewer than two of a kind."""
    values, kinds = np.array(scores, np.float64), np.array(severe, bool)
    ill, well = values[kinds], values[~kinds]
    if min(len(ill), len(well)) < LEAST_OF_A_KIND:
        return None
    auc, variance = delong(ill, well)
    reach = float(stats.norm.ppf((1 + CONFIDENCE) / 2)) * math.sqrt(variance)
    varied = bool(np.ptp(values) > 0)
    return Discrimination(
        severe=len(ill),
        others=len(well),
        auc=auc,
        auc_interval=(max(0.0, auc - reach), min(1.0, auc + reach)),
        p=float(stats.mannwhitneyu(ill, well).pvalue) if varied else 1.0,
        cut=youden_cut(ill, well) if varied else None,
    )


def delong(ill: Values, well: Values) -> tuple[float, float]:
    """Area under the ROC curve and its variance.

    Parameters
    ----------
    ill, well
        Scores of either kind, at least two each. Equal scores count half.
    """
    ill_ranks, well_ranks = (stats.rankdata(part) for part in (ill, well))
    ranks = stats.rankdata(np.concatenate((ill, well)))
    above_well = (ranks[: len(ill)] - ill_ranks) / len(well)
    below_ill = 1 - (ranks[len(ill) :] - well_ranks) / len(ill)
    variance = np.var(above_well, ddof=1) / len(ill) + np.var(below_ill, ddof=1) / len(well)
    return float(above_well.mean()), float(variance)


def roc(ill: Values, well: Values) -> tuple[Values, Values, Values]:
    """Cuts, and sensitivity and 1 - specificity above each; the cuts grow.

    The first cut lies below all scores, the last one above.
    """
    scores = np.unique(np.concatenate((ill, well)))
    cuts = np.concatenate(([-np.inf], (scores[:-1] + scores[1:]) / 2, [np.inf]))
    above = [np.mean(part[:, None] > cuts, axis=0) for part in (ill, well)]
    return cuts, above[0], above[1]


def youden_cut(ill: Values, well: Values) -> Cut:
    """The cut with the largest sum of sensitivity and specificity; the scores are not all equal."""
    cuts, sensitivity, false_positive = (part[1:-1] for part in roc(ill, well))
    value = float(cuts[np.argmax(np.round(sensitivity - false_positive, 12))])
    hit = proportion(int(np.count_nonzero(ill > value)), len(ill))
    spared = proportion(int(np.count_nonzero(well <= value)), len(well))
    return Cut(value, hit.share + spared.share - 1, hit, spared)


def proportion(count: int, total: int) -> Proportion:
    """A share with its exact (Clopper-Pearson) interval."""
    interval = stats.binomtest(count, total).proportion_ci(CONFIDENCE, method="exact")
    return Proportion(count, total, count / total, (float(interval.low), float(interval.high)))
