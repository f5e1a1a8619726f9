from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engines.training.cases import UNLABELLED, load_case, load_cases, split
from tests.training.made_cases import disks, made_case, write_case


def test_loads_foot_to_head_front_on_top(tmp_path: Path) -> None:
    write_case(tmp_path / "a", spacing=5.0, unlabelled=(0, 1))
    (case,) = load_cases([tmp_path])
    hu, lesion, _ = disks()
    np.testing.assert_array_equal(case.hu, hu)
    np.testing.assert_array_equal(case.lesion, lesion)
    assert case.spacing == 5.0
    assert (case.lung[:2] == UNLABELLED).all()
    assert set(np.unique(case.lung[2:])) == {0, 1}


def test_patients_come_from_the_table(tmp_path: Path) -> None:
    for name in ("a", "b", "phantom-1"):
        write_case(tmp_path / name)
    (tmp_path / "cases.csv").write_text("case,patient\na,one\nb,one\n")
    cases = load_cases([tmp_path])
    assert [case.patient for case in cases] == ["one", "one", "phantom-1"]
    assert [case.synthetic for case in cases] == [False, False, True]


@pytest.mark.parametrize("held_out", [["one"], ["a"], ["b"]])
def test_a_patient_is_never_split(tmp_path: Path, held_out: list[str]) -> None:
    for name in ("a", "b", "c"):
        write_case(tmp_path / name)
    (tmp_path / "cases.csv").write_text("case,patient\na,one\nb,one\nc,two\n")
    train, test = split(load_cases([tmp_path]), held_out)
    assert [case.name for case in train] == ["c"]
    assert [case.name for case in test] == ["a", "b"]


def test_the_two_scans_of_one_patient_stay_together_without_a_table(tmp_path: Path) -> None:
    for name in ("medseg2", "medseg3", "medseg5"):
        write_case(tmp_path / name)
    train, _ = split(load_cases([tmp_path]), ["medseg3"])
    assert [case.name for case in train] == ["medseg5"]


def test_unknown_names_and_empty_folders_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nobody"):
        split([made_case()], ["nobody"])
    with pytest.raises(FileNotFoundError, match="no case"):
        load_cases([tmp_path])


def test_reads_a_shared_case(shared_ct: Path) -> None:
    case = load_case(shared_ct / "labelled" / "medseg8", "medseg8")
    assert case.hu.shape == (45, 256, 256)
    share = 100 * ((case.lesion == 1) & (case.lung == 1)).sum() / (case.lung == 1).sum()
    assert share == pytest.approx(1.4, abs=0.05)
