"""What a site measures against."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.quantify.normal import NormalReference
from appliance.quantify.severity import SeverityModel


@dataclass(frozen=True, slots=True)
class Norms:
    """A reference of normal lungs and coefficients of severity; what is None is not reported."""

    normal: NormalReference | None = None
    severity: SeverityModel | None = None


NO_NORMS = Norms()
