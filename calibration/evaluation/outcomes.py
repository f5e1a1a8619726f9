"""What became of the patients, and how well the scores tell it.

A table of outcomes is a CSV with the column ``case`` and, each cell where it is known,
``severe`` (0 or 1), and ``previous`` with ``direction``: an earlier case of the patient, and what
the radiologist says has happened since (increased, decreased, unchanged).

References
----------
Li, Zhong et al. 2020 (thick sections): severity by POI and iHU (table 2), agreement of the
change of POI with the radiologist's words (table 4).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance.followup.changes import direction
from breathhold.v1 import types_pb2
from calibration.evaluation.discrimination import Discrimination, discrimination
from calibration.evaluation.errors import EvaluationError
from calibration.evaluation.figures import CaseFigures
from calibration.evaluation.kappa import Kappa, cohens_kappa
from calibration.rows import read_rows

_KINDS = {"0": False, "1": True, "no": False, "yes": True}
DIRECTIONS = {
    "unchanged": types_pb2.DIRECTION_UNCHANGED,
    "increased": types_pb2.DIRECTION_INCREASED,
    "decreased": types_pb2.DIRECTION_DECREASED,
}
_WORDS = {value: word for word, value in DIRECTIONS.items()}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is known of a case.

    Parameters
    ----------
    case
        Its name.
    severe
        Whether the disease was severe, None when not known.
    previous, direction
        An earlier case of the patient and one of :data:`DIRECTIONS`; both empty when not known.
    """

    case: str
    severe: bool | None = None
    previous: str = ""
    direction: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """A case and the one before it; directions by the scores' change and by the radiologist."""

    case: str
    previous: str
    po_change: float
    found: str
    radiologist: str


@dataclass(frozen=True, slots=True)
class OutcomeFigures:
    """The scores against the outcomes.

    Parameters
    ----------
    severity
        By score, "po" and "ihu" of whole scans; None with fewer than two of a kind.
    scored
        By score, its value and whether the disease was severe, of every scan that has both.
    pairs
        Follow-ups that could be compared.
    direction
        Agreement on unchanged, increased and decreased PO, within the dead band of a report's
        follow-up.
    direction_of_changed
        As published: of pairs that the radiologist calls changed, by the sign of PO's change.
    not_evaluated
        Cases of the table, or their earlier ones, that were not evaluated or have no PO.
    """

    severity: Mapping[str, Discrimination | None]
    scored: Mapping[str, Sequence[tuple[float, bool]]]
    pairs: tuple[Pair, ...]
    direction: Kappa | None
    direction_of_changed: Kappa | None
    not_evaluated: tuple[str, ...]

    def record(self) -> dict[str, object]:
        """All of it by name, as JSON takes it."""
        kappas = (self.direction, self.direction_of_changed)
        return {
            "severity": {score: found and found.record() for score, found in self.severity.items()},
            "pairs": [
                {
                    "case": pair.case,
                    "previous": pair.previous,
                    "po_change": pair.po_change,
                    "direction": pair.found,
                    "radiologist": pair.radiologist,
                }
                for pair in self.pairs
            ],
            "direction": kappas[0] and kappas[0].record(),
            "direction_of_changed": kappas[1] and kappas[1].record(),
            "not_evaluated": list(self.not_evaluated),
        }


def read_outcomes(path: Path) -> list[Outcome]:
    """Read a table of outcomes.

    Raises
    ------
    EvaluationError
        Naming the line that cannot be used.
    OSError
        When it cannot be read.
    """

    def check(names: Sequence[str]) -> None:
        _check_columns(path, names)

    outcomes = read_rows(path, EvaluationError, check, _outcome)
    cases = [one.case for one in outcomes]
    if twice := sorted({case for case in cases if cases.count(case) > 1}):
        raise EvaluationError(f"{path}: more than one line for {', '.join(twice)}")
    return outcomes


def _check_columns(path: Path, names: Sequence[str]) -> None:
    if "case" not in names:
        raise EvaluationError(f"{path}: there is no column case")
    if ("previous" in names) != ("direction" in names):
        raise EvaluationError(f"{path}: the columns previous and direction belong together")
    if not {"severe", "previous"} & {*names}:
        raise EvaluationError(f"{path}: there is neither a column severe nor previous")


def _outcome(cells: Mapping[str, str], place: str) -> Outcome:
    case, severe = cells["case"], cells.get("severe", "").lower()
    previous, way = cells.get("previous", ""), cells.get("direction", "").lower()
    if not case:
        raise EvaluationError(f"{place}: no case is named")
    if severe and severe not in _KINDS:
        raise EvaluationError(f"{place}: severe is {severe!r}, not 0 or 1")
    if bool(previous) != bool(way):
        raise EvaluationError(f"{place}: previous and direction belong together")
    if way and way not in DIRECTIONS:
        raise EvaluationError(f"{place}: direction is {way!r}, not {', '.join(DIRECTIONS)}")
    if previous == case:
        raise EvaluationError(f"{place}: {case} does not come before itself")
    return Outcome(case, _KINDS.get(severe), previous, way)


def compare_outcomes(figures: Sequence[CaseFigures], outcomes: Sequence[Outcome]) -> OutcomeFigures:
    """The scores of whole scans against what is known of their patients."""
    by_case = {one.case: one for one in figures if one.po_whole is not None}
    named = {name for one in outcomes for name in (one.case, one.previous) if name}
    pairs = tuple(_pairs(by_case, outcomes))
    changed = [pair for pair in pairs if pair.radiologist != "unchanged"]
    scored = {score: _scored(by_case, outcomes, score) for score in ("po", "ihu")}
    return OutcomeFigures(
        severity={
            score: discrimination([value for value, _ in known], [kind for _, kind in known])
            for score, known in scored.items()
        },
        scored=scored,
        pairs=pairs,
        direction=cohens_kappa(
            [pair.found for pair in pairs], [pair.radiologist for pair in pairs]
        ),
        direction_of_changed=cohens_kappa(
            [_by_sign(pair.po_change) for pair in changed],
            [pair.radiologist for pair in changed],
        ),
        not_evaluated=tuple(sorted(named - by_case.keys())),
    )


def _by_sign(change: float) -> str:
    if not change:
        return "unchanged"
    return "increased" if change > 0 else "decreased"


def _scored(
    by_case: Mapping[str, CaseFigures], outcomes: Sequence[Outcome], score: str
) -> list[tuple[float, bool]]:
    known = [
        (getattr(by_case[one.case], f"{score}_whole"), one.severe)
        for one in outcomes
        if one.severe is not None and one.case in by_case
    ]
    return [(value, severe) for value, severe in known if value is not None]


def _pairs(by_case: Mapping[str, CaseFigures], outcomes: Sequence[Outcome]) -> list[Pair]:
    found = []
    for one in outcomes:
        if one.previous and one.case in by_case and one.previous in by_case:
            now, before = by_case[one.case].po_whole, by_case[one.previous].po_whole
            assert now is not None
            assert before is not None
            way = _WORDS[direction("po", before, now)]
            found.append(Pair(one.case, one.previous, now - before, way, one.direction))
    return found
