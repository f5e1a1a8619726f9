from __future__ import annotations

from pathlib import Path

import pytest

from calibration.evaluation import EvaluationError
from calibration.gate.cases import (
    cases_to_calibrate,
    check_disjoint,
    other_cases,
    served_cases,
)
from engines.models import load_spec
from tests.evaluation.made_cases import made_chest, write_case
from tests.tiny_models import write_tiny_repository

PATIENTS = {"a1": "a", "a2": "a", "b": "b", "c": "c"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for name in PATIENTS:
        write_case(folder / name, made_chest(name, slices=2))
    rows = [f"{case},{patient}" for case, patient in PATIENTS.items() if case != "c"]
    (folder / "cases.csv").write_text("\n".join(["case,patient", *rows]) + "\n")
    return folder


def test_patients_never_stand_on_both_sides(data: Path, tmp_path: Path) -> None:
    spec = load_spec(write_tiny_repository(tmp_path) / "lung")
    used = cases_to_calibrate(data, spec)
    others = other_cases(data, spec, used)
    assert sorted([*used, *others]) == sorted(PATIENTS)
    assert not {PATIENTS[name] for name in used} & {PATIENTS[name] for name in others}
    check_disjoint(data, used, others)
    with pytest.raises(EvaluationError, match="calibrated on: a"):
        check_disjoint(data, ["a1", "b"], ["a2", "c"])
    with pytest.raises(EvaluationError, match="no other patient"):
        other_cases(data, spec, ["a1", "b", "c"])


def test_two_scans_that_are_known_to_be_of_one_patient_stay_together(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="calibrated on: radiopaedia10"):
        check_disjoint(tmp_path, ["medseg2"], ["medseg3"])


def test_a_table_that_does_not_say_whose_a_case_is_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cases.csv").write_text("case,age\na,50\n")
    with pytest.raises(EvaluationError, match=r"cases\.csv has no column patient"):
        check_disjoint(tmp_path, ["a"], ["b"])


def test_scans_of_other_sections_are_refused(data: Path, tmp_path: Path) -> None:
    folder = write_tiny_repository(tmp_path) / "lung"
    text = (folder / "spec.toml").read_text()
    (folder / "spec.toml").write_text(text.replace('"thin", "medium", "thick"', '"thin"'))
    with pytest.raises(EvaluationError, match="b is a thick scan, lung serves thin"):
        served_cases(data, ["b"], load_spec(folder))
    with pytest.raises(EvaluationError, match="no other patient"):
        other_cases(data, load_spec(folder), [])
