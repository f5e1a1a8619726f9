"""What changed between two scans, and whether it is more than measuring twice would give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from breathhold.v1 import types_pb2 as pb


@dataclass(frozen=True, slots=True)
class DeadBand:
    """How far two measurements of one patient at one time may lie apart.

    Parameters
    ----------
    least
        In the unit of the score.
    share
        Of the larger of both values; the wider of the two counts.
    """

    least: float
    share: float = 0.0

    def width(self, before: float, now: float) -> float:
        """A change up to this, in the unit of the score, is none."""
        return max(self.least, self.share * max(abs(before), abs(now)))


#: Repeatability coefficients of the shipped models, in the score's unit and as a share of it, on
#: the twelve labelled scans (PO 1.5 to 17 %) measured a second time as if moved a little and
#: reconstructed softer: ``python -m calibration.repeatability --data CASES``, "softened". Equally
#: sharp the second time, PO repeats to 0.11 points, lesion to 6.5 ml. PHO of these scans is below
#: 1.6 %, too little to measure a share on: those of PO and lesion are taken. How deeply a patient
#: breathes in moves the lung's volume by far more than this.
DEAD_BANDS: Mapping[str, DeadBand] = {
    "po": DeadBand(0.46, 0.079),
    "pho": DeadBand(0.49, 0.079),
    "ihu": DeadBand(22.0),
    "lung_ml": DeadBand(42.0, 0.01),
    "lesion_ml": DeadBand(21.0, 0.079),
    "high_opacity_ml": DeadBand(28.0, 0.079),
}
_OPTIONAL = ("po", "pho", "ihu")


def direction(name: str, before: float, now: float) -> pb.Direction.ValueType:
    """Which way a score went: unchanged within its dead band.

    Parameters
    ----------
    name
        One of :data:`DEAD_BANDS`.
    before, now
        In the unit of the score.
    """
    if abs(now - before) <= DEAD_BANDS[name].width(before, now):
        return pb.DIRECTION_UNCHANGED
    return pb.DIRECTION_INCREASED if now > before else pb.DIRECTION_DECREASED


def changes(before: pb.Scores, now: pb.Scores) -> list[pb.Change]:
    """The change of every score that both scans have, in the order of :data:`DEAD_BANDS`."""
    return [
        _change(name, getattr(before, name), getattr(now, name))
        for name in DEAD_BANDS
        if _has(before, name) and _has(now, name)
    ]


def _has(scores: pb.Scores, name: str) -> bool:
    return name not in _OPTIONAL or scores.HasField(name)  # type: ignore[arg-type]


def _change(name: str, before: float, now: float) -> pb.Change:
    return pb.Change(
        name=name,
        before=before,
        now=now,
        change=now - before,
        direction=direction(name, before, now),
    )
