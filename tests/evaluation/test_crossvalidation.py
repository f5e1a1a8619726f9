"""Folds are found, checked and measured on patients their networks never saw."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from calibration import crossvalidation
from calibration.crossvalidation import Fold, FoldError, cases_of, find_folds
from engines.training import batches
from engines.training.cases import load_cases, split
from engines.training.loop import Trainer
from engines.training.state import Recipe, save_recipe
from tests.training.made_cases import write_case


def _recipe(runs: Path, fold: str, model: str, held_out: list[str]) -> None:
    save_recipe(runs / fold / model, Recipe(model, held_out, steps=1, width=16))


def test_folds_are_found_with_their_patients(tmp_path: Path) -> None:
    for fold, patient in (("1", "a"), ("2", "b")):
        for model in ("lung", "lesion_thick"):
            _recipe(tmp_path, fold, model, [patient])
    first, second = find_folds(tmp_path)
    assert (first.held_out, second.held_out) == (("a",), ("b",))
    assert [run.name for run in first.runs] == ["lesion_thick", "lung"]


def test_a_patient_that_one_network_of_a_fold_saw_is_no_test(tmp_path: Path) -> None:
    _recipe(tmp_path, "1", "lung", ["a"])
    _recipe(tmp_path, "1", "lesion_thick", ["b"])
    with pytest.raises(FoldError, match="same patients"):
        find_folds(tmp_path)


@pytest.mark.parametrize(
    ("held_out", "message"), [([["a"], ["a"]], "held out by two"), ([[]], "leave nobody out")]
)
def test_unusable_folds_are_named(tmp_path: Path, held_out: list[list[str]], message: str) -> None:
    for number, patients in enumerate(held_out):
        _recipe(tmp_path, str(number), "lung", patients)
    with pytest.raises(FoldError, match=message):
        find_folds(tmp_path)


def test_a_folder_without_runs_is_named(tmp_path: Path) -> None:
    with pytest.raises(FoldError, match="no fold found"):
        find_folds(tmp_path)
    (tmp_path / "logs").mkdir()
    with pytest.raises(FoldError, match="logs: no run found"):
        find_folds(tmp_path)


def test_cases_are_found_by_the_names_of_patients(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "image.nii.gz").write_bytes(b"not read")
    (tmp_path / "cases.csv").write_text("case,patient\na,one\nb,one\nc,two\n")
    found = cases_of(Fold((), ("one",)), tmp_path)
    assert [folder.name for folder in found] == ["a", "b"]
    with pytest.raises(FoldError, match="no such patient or case: three"):
        cases_of(Fold((), ("three",)), tmp_path)


def test_faults_are_sentences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "runs").mkdir()
    with pytest.raises(SystemExit) as ended:
        crossvalidation.main(f"--data {tmp_path} --runs {tmp_path / 'runs'}".split())
    assert ended.value.code == 1
    assert "no fold found" in capsys.readouterr().err


def test_each_case_is_measured_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(batches, "_FRAMES", 2)
    data, runs = tmp_path / "data", tmp_path / "runs"
    for name in ("a", "b"):
        write_case(data / name, spacing=5.0)
    for fold, patient in (("1", "a"), ("2", "b")):
        train, _ = split(load_cases([data]), [patient])
        for model in ("lung", "lesion_thick"):
            recipe = Recipe(model, [patient], steps=1, width=16)
            Trainer(train, recipe, runs / fold / model).train()
    out = tmp_path / "made" / "figures.json"
    crossvalidation.main(f"--data {data} --runs {runs} --model lesion_thick --out {out}".split())
    content = json.loads(out.read_text())
    assert [case["case"] for case in content["cases"]] == ["a", "b"]
    assert set(content) == {"cases", "overall"}
    assert content == json.loads(capsys.readouterr().out)
