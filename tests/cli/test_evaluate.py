"""``breathhold evaluate``: a phantom with the shipped models, made cases with tiny ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from calibration.phantom import make_phantom, write_labelled
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


def test_a_broken_case_is_named(command: Command, repository: Path, tmp_path: Path) -> None:
    folder = write_case(tmp_path / "broken", made_chest("broken"))
    write_nifti(folder / "lung.nii.gz", np.zeros((3, 3, 3), np.uint8))
    ran = command("evaluate", "--data", tmp_path, "--models", repository)
    assert ran.code == 1
    assert "broken/lung.nii.gz: its shape is" in ran.err
