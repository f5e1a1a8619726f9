"""``breathhold evaluate``: a phantom with the shipped models, made cases with tiny ones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calibration.phantom import make_phantom, write_labelled
from engines.training.cases import UNLABELLED
from tests.cli.command import Command
from tests.evaluation.made_cases import made_chest, write_case, write_nifti


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for name in ("first", "second", "third"):
        write_case(folder / name, made_chest(name))
    return folder


def test_a_phantom_with_the_shipped_models(command: Command, tmp_path: Path) -> None:
    phantom = make_phantom(4, section="thick", slices=6, matrix=64, lesions=0.2)
    write_labelled(phantom, tmp_path / "phantom4")
    ran = command("evaluate", "--data", tmp_path / "phantom4", "--json")
    assert ran.code == 0, ran.err
    content = json.loads(ran.out)
    (case,) = content["cases"]
    assert case["case"] == "phantom4"
    share = 100 * np.count_nonzero(phantom.lesion) / np.count_nonzero(phantom.lung)
    assert case["po_reference"] == pytest.approx(share)
    assert case["dice_lung"] > 0.8
    assert content["overall"]["cases"] == 1
    assert content["overall"]["dice_lung_mean"] == case["dice_lung"]
    assert content["overall"]["po"]["pearson"] is None
    assert {"models", "precision", "versions"} <= set(content)


def test_tables_for_people(command: Command, data: Path, repository: Path) -> None:
    ran = command("evaluate", "--data", data, "--models", repository)
    assert ran.code == 0, ran.err
    assert all(name in ran.out for name in ("first", "second", "third"))
    assert "thick, PO >= 0.5" in ran.out
    assert "not a diagnosis" in ran.out
    assert "3/3" in ran.err


def test_some_cases_and_a_page(
    command: Command, data: Path, repository: Path, tmp_path: Path
) -> None:
    options = ("--models", repository, "--model", "lesion", "--precision", "fp32", "--json")
    chosen = ("--cases", "third, first", "--report", tmp_path / "report")
    ran = command("evaluate", "--data", data, *chosen, *options)
    assert ran.code == 0, ran.err
    content = json.loads(ran.out)
    assert [case["case"] for case in content["cases"]] == ["first", "third"]
    assert content["models"]["lesion"]["sections"] == ["thin", "medium", "thick"]
    assert json.loads((tmp_path / "report" / "evaluation.json").read_text()) == content
    assert "<html" in (tmp_path / "report" / "evaluation.html").read_text()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--cases", "fourth"), "no case fourth; there are first, second, third"),
        (("--model", "lungs"), "no lesion model is called 'lungs'; there are lesion"),
        (("--precision", "int8"), "no int8 artefact"),
    ],
)
def test_what_is_not_there_is_said(
    command: Command, data: Path, repository: Path, options: tuple[str, ...], sentence: str
) -> None:
    ran = command("evaluate", "--data", data, "--models", repository, *options)
    assert ran.code == 1
    assert sentence in ran.err
    assert not ran.out


def test_a_case_may_have_any_name(command: Command, repository: Path, tmp_path: Path) -> None:
    """Brackets and dollars mean something to the libraries that write tables and plots."""
    path = write_case(tmp_path / r"[red]4 $\none$", made_chest())
    report = tmp_path / "report"
    ran = command("evaluate", "--data", path, "--models", repository, "--report", report)
    assert ran.code == 0, ran.err
    assert path.name in ran.out
    assert path.name in ran.err


def test_wrong_use_is_told_from_failure(command: Command, data: Path, tmp_path: Path) -> None:
    assert command("evaluate").code == 2
    assert command("evaluate", "--data", data, "--precision", "fp7").code == 2
    ran = command("evaluate", "--data", tmp_path)
    assert ran.code == 1
    assert "holds no case" in ran.err
    (tmp_path / "file").touch()
    ran = command("evaluate", "--data", data, "--report", tmp_path / "file")
    assert ran.code == 1
    assert "file: File exists" in ran.err
    ran = command("evaluate", "--data", data, "--models", tmp_path)
    assert ran.code == 1
    assert "no model found" in ran.err


def test_a_broken_case_is_named_and_the_others_are_measured(
    command: Command, data: Path, repository: Path, tmp_path: Path
) -> None:
    folder = write_case(tmp_path / "broken", made_chest("broken"))
    write_nifti(folder / "lung.nii.gz", np.zeros((3, 3, 3), np.uint8))
    crowded = replace(made_chest("crowded"), spacing_mm=(0.06, 5.6, 5.6))
    write_case(tmp_path / "crowded", crowded)
    write_case(tmp_path / "whole", made_chest("whole"))
    options = ("--data", tmp_path, "--models", repository)
    ran = command("evaluate", *options, "--json", "--report", tmp_path.parent / "report")
    assert ran.code == 1
    assert "broken/lung.nii.gz: its shape is" in ran.err
    assert "crowded: slice" in ran.err
    content = json.loads(ran.out)
    assert [case["case"] for case in content["cases"]] == ["whole"]
    assert [one["case"] for one in content["failed"]] == ["broken", "crowded"]
    assert "at the same position" in content["failed"][1]["error"]
    assert content["overall"]["cases"] == 1
    page = (tmp_path.parent / "report" / "evaluation.html").read_text()
    assert "<b>crowded</b> could not be evaluated" in page
    ran = command("evaluate", *options, "--cases", "broken,whole")
    assert ran.code == 1
    assert "whole" in ran.out
    ran = command("evaluate", *options, "--cases", "broken", "--json")
    assert (ran.code, json.loads(ran.out)["cases"]) == (1, [])


def test_a_scan_in_which_no_lung_is_found_is_counted(
    command: Command, repository: Path, tmp_path: Path
) -> None:
    """The lung label is there; only on a slice without lesion label is anything as dark as lung."""
    chest = made_chest("solid")
    chest.hu[1:], chest.lesion[0] = 40, UNLABELLED
    write_case(tmp_path / "solid", chest)
    options = ("--data", tmp_path, "--models", repository)
    ran = command("evaluate", *options, "--json")
    content = json.loads(ran.out)
    assert ran.code == 0, ran.err
    assert content["cases"][0]["po"] is None
    assert content["cases"][0]["po_reference"] > 0
    assert content["overall"]["cases_without_score"] == 1
    assert "No lung was found" in command("evaluate", *options).out


def test_outcomes_are_measured_beside(
    command: Command, data: Path, repository: Path, tmp_path: Path
) -> None:
    table = tmp_path / "outcomes.csv"
    table.write_text("case,severe,previous,direction\nfirst,1,,\nsecond,0,first,unchanged\n")
    options = ("--data", data, "--models", repository, "--outcomes", table)
    ran = command("evaluate", *options, "--json", "--report", tmp_path / "report")
    assert ran.code == 0, ran.err
    outcomes = json.loads(ran.out)["outcomes"]
    assert outcomes["severity"] == {"po": None, "ihu": None}
    (pair,) = outcomes["pairs"]
    assert (pair["case"], pair["previous"], pair["po_change"]) == ("second", "first", 0.0)
    assert outcomes["direction"]["observed"] == 1.0
    page = (tmp_path / "report" / "evaluation.html").read_text()
    assert "change of PO against the radiologist" in page
    assert "ask with <code>--radiomics</code>" in page
    text = command("evaluate", *options).out
    assert "severe by" in text
    assert "changed ones, by sign" in text


def test_a_table_that_cannot_be_used_is_told_before_the_work(
    command: Command, data: Path, repository: Path, tmp_path: Path
) -> None:
    table = tmp_path / "outcomes.csv"
    options = ("--data", data, "--models", repository, "--outcomes", table)
    for text, sentence in (
        ("case,severe\nfourth,1\n", "names fourth, which"),
        ("case,severe\nfirst,maybe\n", "severe is 'maybe'"),
    ):
        table.write_text(text)
        ran = command("evaluate", *options)
        assert (ran.code, ran.out) == (1, "")
        assert sentence in ran.err


def test_radiomics_without_its_library_is_told_before_the_work(
    command: Command, data: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("calibration.evaluation.radiomics.find_spec", lambda name: None)
    ran = command("evaluate", "--data", data, "--models", repository, "--radiomics")
    assert (ran.code, ran.out) == (1, "")
    assert "radiomics needs PyRadiomics" in ran.err
