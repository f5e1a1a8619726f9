"""Which corrected scans are learnt from, and which judge."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from calibration.review.folder import ReviewError, ReviewFolder
from calibration.review.ledger import Entry
from engines.training.cases import patients_meant, patients_of

#: Without a choice, one in so many corrected patients judges.
_SHARE = 3
_FEWEST = 2


@dataclass(frozen=True, slots=True)
class Parts:
    """Folders of the cases to learn from, and of those to judge by, with their patients."""

    learnt: dict[Path, str]
    judged: dict[Path, str]


def part_cases(
    review: ReviewFolder, model: str, data: Sequence[Path] = (), held_out: Sequence[str] = ()
) -> Parts:
    """Who is learnt from and who judges; never the same patient.

    Parameters
    ----------
    review
        The corrected scans, and who judged before.
    model
        Which model learns.
    data
        Folders of more labelled cases; they judge only when they are held out.
    held_out
        Cases or patients to judge by; none: a third of the corrected patients, first those who
        judged before, then those whom the model has not learnt from.

    Raises
    ------
    ReviewError
        When there is nobody on one of the sides.
    """
    patients = {
        case: who for folder in (review.cases, *data) for case, who in _patients(folder).items()
    }
    by_name = {case.name: who for case, who in patients.items()}
    if held_out:
        try:
            chosen = patients_meant(by_name, held_out)
        except ValueError as error:
            raise ReviewError(str(error)) from error
    else:
        corrected = {who for case, who in patients.items() if case.parent == review.cases}
        trained = [one for one in review.ledger.entries("trained") if one.get("model") == model]
        chosen = _judges(corrected, by_name, trained)
    parts = Parts(
        {case: who for case, who in patients.items() if who not in chosen},
        {case: who for case, who in patients.items() if who in chosen},
    )
    if not parts.learnt or not parts.judged:
        raise ReviewError(
            f"refining needs scans of {_FEWEST} patients, one to learn from and one to judge by; "
            f"there is {len(set(patients.values()))}"
        )
    return parts


def _judges(corrected: set[str], by_name: Mapping[str, str], trained: Sequence[Entry]) -> set[str]:
    """A third of the corrected patients, without those learnt from as far as there are others."""
    learnt = _named(trained, "learnt_from", by_name)
    before = (_named(trained, "judged_by", by_name) - learnt) & corrected
    clean = [*sorted(before), *sorted(corrected - learnt - before)]
    return set((clean or sorted(corrected))[: math.ceil(len(corrected) / _SHARE)])


def _named(trained: Sequence[Entry], side: str, by_name: Mapping[str, str]) -> set[str]:
    """Patients on one side of earlier trainings."""
    cases = [
        case for entry in trained if isinstance(found := entry.get(side), list) for case in found
    ]
    return {by_name[case] for case in cases if case in by_name}


def _patients(folder: Path) -> dict[Path, str]:
    """The patient of each case in a folder."""
    cases = sorted(path.parent for path in folder.glob("*/image.nii.gz"))
    if not cases:
        raise ReviewError(f"{folder} holds no labelled scan")
    try:
        found = patients_of(folder, [case.name for case in cases])
    except ValueError as error:
        raise ReviewError(str(error)) from error
    return {case: found[case.name] for case in cases}
