"""The probability that the disease is severe, by coefficients that a site fitted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SeverityModel:
    """Logistic regression on POI and iHU (Li, Zhong et al. 2020).

    Parameters
    ----------
    intercept
        Log odds at POI 0 and iHU 0.
    poi
        Log odds for each whole of the lung that is infected: POI is a fraction, 0 to 1.
    ihu
        Log odds for each HU of the lesion's mean.
    n
        Patients that it was fitted on.
    made
        When and of what, in words.
    """

    intercept: float
    poi: float
    ihu: float
    n: int
    made: str

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.intercept, self.poi, self.ihu))):
            raise ValueError("intercept, poi and ihu must be finite numbers")
        if self.n < 1:
            raise ValueError("n must be the number of patients, 1 or more")

    @classmethod
    def of(cls, fields: Mapping[str, object]) -> SeverityModel:
        """From the fields of a file.

        Raises
        ------
        ValueError
            Naming the field that is missing or wrong; others are passed over.
        """
        numbers = {name: _number(fields, name) for name in ("intercept", "poi", "ihu", "n")}
        made = fields.get("made")
        if not isinstance(made, str):
            raise ValueError("made must say in words when and of what the model was made")
        if not numbers["n"].is_integer():
            raise ValueError("n must be a whole number")
        return cls(numbers["intercept"], numbers["poi"], numbers["ihu"], int(numbers["n"]), made)

    def probability(self, poi: float | None, ihu: float | None) -> float | None:
        """From 0 to 1; None without a POI, or without a lesion and so without an iHU."""
        if poi is None or ihu is None:
            return None
        odds = self.intercept + self.poi * poi + self.ihu * ihu
        if odds >= 0:
            return 1 / (1 + math.exp(-odds))
        return math.exp(odds) / (1 + math.exp(odds))


def _number(fields: Mapping[str, object], name: str) -> float:
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{name} must be a number, not {value!r}")
    return float(value)
