"""Scores that are summed over the five lobes: LSS, LHOS and CT score.

A lobe of which there is nothing is not affected.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.quantify.regions import Region

#: Upper bounds of a lobe's 1, 2 and 3 points, percent; beyond the last there are 4.
_QUARTERS = (25.0, 50.0, 75.0)


@dataclass(frozen=True, slots=True)
class LobeScores:
    """LSS and LHOS, 0 to 20, and CT score, 0 to 25."""

    lss: int
    lhos: int
    ct_score: int


def lobe_scores(lobes: Sequence[Region]) -> LobeScores:
    """The scores of a scan whose lobes are known."""
    po = [lobe.po for lobe in lobes]
    return LobeScores(
        lss=lung_severity_score(po),
        lhos=lung_high_opacity_score([lobe.pho for lobe in lobes]),
        ct_score=ct_score(po),
    )


def lung_severity_score(po: Sequence[float | None]) -> int:
    """LSS: each lobe's PO as 0 to 4 points, summed (Chaganti et al. 2020).

    Nothing 0, to 25 % 1, to 50 % 2, to 75 % 3, above 4; the upper bound belongs to the
    lower points.
    """
    return sum(_quarter(percent) for percent in po)


def lung_high_opacity_score(pho: Sequence[float | None]) -> int:
    """LHOS: as LSS, of each lobe's PHO (Chaganti et al. 2020)."""
    return sum(_quarter(percent) for percent in pho)


def ct_score(po: Sequence[float | None]) -> int:
    """CT score: each lobe's PO as 0 to 5 points, summed (Pan et al. 2020).

    The paper reads whole percents: nothing 0, below 5 % 1, 5 to 25 % 2, 26 to 49 % 3,
    50 to 75 % 4, above 75 % 5. What lies between two of its classes belongs to the third:
    above 25 % and below 50 % are 3 points.
    """
    return sum(_ct_points(percent) for percent in po)


def _quarter(percent: float | None) -> int:
    return 1 + bisect_left(_QUARTERS, percent) if percent else 0


def _ct_points(percent: float | None) -> int:
    if not percent:
        return 0
    bounds = (percent >= 5, percent > 25, percent >= 50, percent > 75)
    return 1 + sum(bounds)
