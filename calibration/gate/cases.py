"""Which scans calibrate and which ones judge: never the same patient."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from calibration.evaluation import EvaluationError, find_cases, section_of_case
from engines.models import ModelSpec
from engines.training.cases import patients_of

#: Without a choice, every so-manieth patient is for calibration.
_SHARE = 3


def served_cases(data: Path, names: Collection[str], spec: ModelSpec) -> list[Path]:
    """Folders of cases that a model serves.

    Parameters
    ----------
    data
        Folder of labelled cases.
    names
        Theirs, at least one.
    spec
        The model.

    Raises
    ------
    EvaluationError
        When a case is not there, cannot be read, or its section is not the model's.
    """
    folders = find_cases(data, names)
    for folder in folders:
        section = section_of_case(folder)
        if section not in spec.sections:
            raise EvaluationError(
                f"{folder.absolute().name} is a {section} scan, "
                f"{spec.name} serves {', '.join(spec.sections)}"
            )
    return folders


def check_disjoint(data: Path, calibration: Collection[str], gate: Collection[str]) -> None:
    """Raise EvaluationError when a patient is on both sides."""
    both = set(_patients(data, calibration).values()) & set(_patients(data, gate).values())
    if both:
        raise EvaluationError(
            f"the gate may not judge by patients that were calibrated on: {', '.join(sorted(both))}"
        )


def cases_to_calibrate(data: Path, spec: ModelSpec) -> list[str]:
    """A third of the patients whose scans the model serves; errors of :func:`other_cases`."""
    patients = _patients(data, _served(data, spec))
    chosen = sorted(set(patients.values()))[::_SHARE]
    return [name for name, patient in patients.items() if patient in chosen]


def other_cases(data: Path, spec: ModelSpec, used: Collection[str]) -> list[str]:
    """The cases that the model serves, of all patients but those of `used`.

    Raises
    ------
    EvaluationError
        When there is none.
    """
    taken = set(_patients(data, used).values())
    patients = _patients(data, _served(data, spec))
    others = [name for name, patient in patients.items() if patient not in taken]
    if not others:
        raise EvaluationError(f"{data} has no other patient whose scan {spec.name} serves")
    return others


def _served(data: Path, spec: ModelSpec) -> list[str]:
    return [
        folder.absolute().name
        for folder in find_cases(data)
        if section_of_case(folder) in spec.sections
    ]


def _patients(data: Path, names: Iterable[str]) -> dict[str, str]:
    try:
        return patients_of(data, names)
    except ValueError as error:
        raise EvaluationError(str(error)) from error
