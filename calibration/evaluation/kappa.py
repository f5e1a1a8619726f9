"""Agreement of two readers beyond chance.

References
----------
Cohen 1960, Educ Psychol Meas 20:37: kappa. Fleiss, Cohen and Everitt 1969, Psychol Bull
72:323: its large-sample standard error. Li, Zhong et al. 2020 (thick sections), table 4.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from scipy import stats

from calibration.evaluation.discrimination import CONFIDENCE, Interval


@dataclass(frozen=True, slots=True)
class Kappa:
    """Cohen's kappa, unweighted.

    Parameters
    ----------
    pairs
        How many were judged twice.
    observed
        Share of them on which both agree.
    kappa
        1 for full agreement, 0 for chance; None where both readers always say one and the
        same, so that chance explains all.
    error, interval
        Standard error and 95 % interval of `kappa`.
    """

    pairs: int
    observed: float
    kappa: float | None
    error: float | None
    interval: Interval | None

    def record(self) -> dict[str, object]:
        """All of it by name, as JSON takes it."""
        return asdict(self)


def cohens_kappa(first: Sequence[Hashable], second: Sequence[Hashable]) -> Kappa | None:
    """Kappa of two readers who judged the same things; None where there is nothing."""
    pairs = list(zip(first, second, strict=True))
    if not pairs:
        return None
    kinds = {kind: place for place, kind in enumerate(dict.fromkeys([*first, *second]))}
    table = np.zeros((len(kinds), len(kinds)))
    for one, other in pairs:
        table[kinds[one], kinds[other]] += 1
    table /= len(pairs)
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    observed, chance = float(np.trace(table)), float(rows @ columns)
    if len(kinds) == 1:
        return Kappa(len(pairs), observed, None, None, None)
    kappa = (observed - chance) / (1 - chance)
    error = math.sqrt(_variance(table, kappa, chance) / len(pairs))
    reach = float(stats.norm.ppf((1 + CONFIDENCE) / 2)) * error
    interval = (max(-1.0, kappa - reach), min(1.0, kappa + reach))
    return Kappa(len(pairs), observed, kappa, error, interval)


def _variance(table: np.ndarray, kappa: float, chance: float) -> float:
    """Of one pair (Fleiss et al. 1969, equation 13); rounding never makes it negative."""
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    agreed = np.diag(table)
    margins = rows + columns
    diagonal = float(agreed @ (1 - margins * (1 - kappa)) ** 2)
    crossed = table * (columns[:, None] + rows[None, :]) ** 2
    others = (1 - kappa) ** 2 * float(crossed.sum() - np.trace(crossed))
    rest = (kappa - chance * (1 - kappa)) ** 2
    return max(0.0, diagonal + others - rest) / (1 - chance) ** 2
