"""The probability that the disease is severe, fitted on a site's own table.

References
----------
Li, Zhong et al. 2020 (thick sections), "Assessment of severity": logistic regression on POI and
iHU, odds for one standard deviation, AIC. Peduzzi et al. 1996, J Clin Epidemiol 49:1373: ten
events a coefficient. Konis 2007, "Linear programming algorithms for detecting separated data".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from calibration.evaluation.discrimination import Discrimination, discrimination
from calibration.logistic import LogisticFit, SeparatedError, fit_logistic
from calibration.rows import read_rows

#: Of the rarer kind, for each score that is fitted.
EVENTS_A_SCORE = 10
COLUMNS = ("poi", "ihu", "severe")
_KINDS = {"0": False, "1": True, "no": False, "yes": True, "false": False, "true": True}
Values = npt.NDArray[np.float64]


class SeverityTableError(Exception):
    """A table that nothing can be fitted on; the message is a sentence."""


@dataclass(frozen=True, eq=False)
class SeverityTable:
    """Scans with a known outcome.

    Parameters
    ----------
    poi
        Lesion of lung as a fraction, shape (scans,).
    ihu
        Mean HU of the lesion.
    severe
        What the site says of the patient.
    left_out
        Scans without lesion, and so without iHU.
    """

    poi: Values
    ihu: Values
    severe: npt.NDArray[np.bool_]
    left_out: int = 0

    @property
    def n(self) -> int:
        return len(self.severe)


@dataclass(frozen=True, slots=True)
class SeverityFit:
    """A logistic regression on one or both scores, and how it tells severe scans from others.

    Measured on the scans that it was fitted on: on others it does worse.
    """

    scores: tuple[str, ...]
    model: LogisticFit
    found: Discrimination


def read_table(path: Path) -> SeverityTable:
    """Read a CSV with the columns poi, ihu and severe; others are passed over.

    Raises
    ------
    SeverityTableError
        Naming the line that cannot be used.
    OSError
        When it cannot be read.
    """

    def check(names: Sequence[str]) -> None:
        if missing := [name for name in COLUMNS if name not in names]:
            raise SeverityTableError(f"{path}: there is no column {' and no '.join(missing)}")

    rows = read_rows(path, SeverityTableError, check, _row)
    whole = [(poi, ihu, severe) for poi, ihu, severe in rows if ihu is not None]
    poi, ihu, severe = np.array(whole, np.float64).reshape(-1, 3).T
    return SeverityTable(poi, ihu, severe > 0, len(rows) - len(whole))


def _row(cells: dict[str, str], place: str) -> tuple[float, float | None, bool]:
    poi = _number(cells["poi"], f"{place}: poi")
    if not 0 <= poi <= 1:
        raise SeverityTableError(
            f"{place}: poi is {poi:g}, but it is a fraction from 0 to 1 (PO in percent is "
            "100 times it)"
        )
    severe = _KINDS.get(cells["severe"].lower())
    if severe is None:
        raise SeverityTableError(f"{place}: severe is {cells['severe']!r}, not 0 or 1")
    ihu = _number(cells["ihu"], f"{place}: ihu") if cells["ihu"] else None
    return poi, ihu, severe


def _number(text: str, place: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise SeverityTableError(f"{place} is {text!r}, no number") from None
    if not np.isfinite(value):
        raise SeverityTableError(f"{place} is {text!r}, no finite number")
    return value


def fit_severity(table: SeverityTable, *scores: str) -> SeverityFit:
    """Fit on "poi", "ihu" or both.

    Raises
    ------
    SeverityTableError
        When the table is too small, a score is constant, or the scores part both kinds so
        that no finite coefficient fits best.
    """
    _check(table, scores)
    columns = np.stack([getattr(table, name) for name in scores], axis=1)
    try:
        model = fit_logistic(columns, table.severe)
    except SeparatedError:
        raise SeverityTableError(
            f"{' and '.join(scores)} part severe scans from others without a mistake, so that no "
            "coefficient is large enough: a table with more scans between both is needed"
        ) from None
    found = discrimination(model.probabilities(columns).tolist(), table.severe.tolist())
    assert found is not None
    return SeverityFit(scores, model, found)


def _check(table: SeverityTable, scores: tuple[str, ...]) -> None:
    severe = int(table.severe.sum())
    least = EVENTS_A_SCORE * len(scores)
    if min(severe, table.n - severe) < least:
        raise SeverityTableError(
            f"the table has {severe} severe scans and {table.n - severe} others with a lesion; "
            f"{least} of each are the least that {' and '.join(scores)} can be fitted on"
        )
    for name in scores:
        if np.ptp(getattr(table, name)) == 0:
            raise SeverityTableError(f"{name} is the same in every scan")
    columns = np.stack([getattr(table, name) for name in scores])
    if np.linalg.matrix_rank(columns - columns.mean(axis=1, keepdims=True)) < len(scores):
        raise SeverityTableError(f"one of {' and '.join(scores)} follows from the other")


def severity_toml(fit: SeverityFit, made: str) -> str:
    """The file that a daemon reads; `made` says when and of what."""
    numbers = dict(zip(fit.scores, fit.model.coefficients, strict=True))
    cut = fit.found.cut
    assert cut is not None
    return "\n".join(
        [
            "# Probability that the disease is severe, by logistic regression:",
            "# 1 / (1 + exp(-(intercept + poi * POI + ihu * iHU)))",
            "# POI: lesion of lung, 0 to 1. iHU: mean HU of the lesion.",
            f"intercept = {fit.model.intercept!r}",
            f"poi = {numbers['poi']!r}",
            f"ihu = {numbers['ihu']!r}",
            f"n = {fit.model.n}",
            f'made = "{_escaped(made)}"',
            "# On the scans that it was fitted on:",
            f"auc = {fit.found.auc!r}",
            "# Probability with the largest Youden index.",
            f"cut = {cut.value!r}",
            "",
        ]
    )


def _escaped(text: str) -> str:
    plain = "".join(character for character in text if character.isprintable())
    return plain.replace("\\", "\\\\").replace('"', '\\"')
