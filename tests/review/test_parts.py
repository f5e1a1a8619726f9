"""The folder of a review, its ledger, its cases, and the versions of a model."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from calibration.evaluation.volumes import Volume
from calibration.review import Ledger, ReviewError, ReviewFolder, ReviewScan, versions
from calibration.review.cases import write_case
from calibration.review.parting import part_cases
from calibration.review.versions import install, next_version, own_repository, restore_version
from engines.folder import replace_file
from engines.models import load_spec
from engines.training.cases import load_case
from tests.tiny_models import write_tiny_repository


def test_the_ledger_is_added_to(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    assert ledger.entries() == []
    ledger.add({"event": "imported", "scan": "a", "minutes": 4.0})
    ledger.add({"event": "imported", "scan": "b", "minutes": None})
    ledger.add({"event": "trained", "iteration": 1})
    assert [entry["event"] for entry in ledger.entries()] == ["imported", "imported", "trained"]
    assert ledger.iteration == 1
    assert ledger.minutes(["a", "b"]) == 4.0
    assert ledger.minutes(["b"]) == 0


def test_an_entry_that_was_never_finished_does_not_count(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.add({"event": "imported", "scan": "a"})
    with ledger.path.open("a") as file:
        file.write('{"event": "trai')
    assert [entry["event"] for entry in ledger.entries()] == ["imported"]
    ledger.add({"event": "trained", "iteration": 1})
    assert [entry["event"] for entry in ledger.entries()] == ["imported", "trained"]


def test_a_damaged_ledger_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text('{"event": "trained"}\nno json\n')
    with pytest.raises(ValueError, match="line 2"):
        Ledger(path).entries()


def test_a_scan_is_known_again(tmp_path: Path) -> None:
    review = ReviewFolder(tmp_path / "review")
    axial, corners = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), ((-1.0, 2.0, 3.5), (-1.0, 2.0, 8.5))
    models = {"lung": "lung 2 int8"}
    scan = ReviewScan("ab12", "key", ("1.2", "1.3"), (0, 2), axial, corners, models)
    review.save_scan(scan)
    assert review.load_scan("ab12") == scan
    with pytest.raises(ReviewError, match="export it first"):
        review.load_scan("cd34")
    for name in ("../ab12", "", "a/b"):
        with pytest.raises(ReviewError, match="no scan id"):
            review.load_scan(name)


def test_a_patient_is_a_hash_that_only_this_folder_can_make(tmp_path: Path) -> None:
    one, other = ReviewFolder(tmp_path / "one"), ReviewFolder(tmp_path / "other")
    assert one.patient_key("P1") == ReviewFolder(tmp_path / "one").patient_key("P1")
    assert one.patient_key("P1") != one.patient_key("P2")
    assert one.patient_key("P1") != other.patient_key("P1")
    assert (tmp_path / "one" / "salt").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("side", [128, 256, 300, 512])
def test_a_case_of_any_matrix_keeps_its_size_in_the_patient(side: int, tmp_path: Path) -> None:
    y, x = np.mgrid[:side, :side] / side
    disk = np.hypot(y - 0.4, x - 0.6) < 0.2
    hu = np.repeat(np.where(disk, -800.0, 40.0)[None], 3, axis=0).astype(np.float32)
    label = np.repeat(disk[None], 3, axis=0).astype(np.uint8)
    label[2] = 255
    mm = 360.0 / side
    write_case(
        tmp_path / "c", Volume(hu, np.eye(4), (5.0, mm, mm)), {"lung": label, "lesion": label}
    )
    case = load_case(tmp_path / "c", "p")
    assert case.hu.shape == (3, 256, 256)
    assert case.spacing == 5.0
    assert (case.lung[0] == 1).mean() == pytest.approx(disk.mean(), rel=0.02)
    assert (case.lung[2] == 255).all()
    assert np.median(case.hu[0][case.lung[0] == 1]) == -800


def made_review(folder: Path, patients: dict[str, str]) -> ReviewFolder:
    review = ReviewFolder(folder)
    plane = Volume(np.full((2, 256, 256), -900, np.float32), np.eye(4), (5.0, 1.0, 1.0))
    empty = np.zeros((2, 256, 256), np.uint8)
    for case, patient in patients.items():
        write_case(review.cases / case, plane, {"lung": empty, "lesion": empty})
        review.note_case(case, patient)
    return review


def test_scans_of_a_patient_stay_on_one_side(tmp_path: Path) -> None:
    review = made_review(tmp_path, {"a": "p", "b": "q", "c": "q", "d": "r"})
    parts = part_cases(review, "lung")
    assert {path.name for path in parts.judged} == {"a"}
    assert {path.name for path in parts.learnt} == {"b", "c", "d"}
    parts = part_cases(review, "lung", held_out=["b"])
    assert {path.name for path in parts.judged} == {"b", "c"}
    with pytest.raises(ReviewError, match="no such patient or case: x"):
        part_cases(review, "lung", held_out=["x"])


def trained(
    review: ReviewFolder, learnt: list[str], judged: list[str], model: str = "lung"
) -> None:
    review.ledger.add(
        {"event": "trained", "model": model, "learnt_from": learnt, "judged_by": judged}
    )


def judges(review: ReviewFolder) -> set[str]:
    return {path.name for path in part_cases(review, "lung").judged}


def test_who_was_learnt_from_judges_no_more_while_there_are_others(tmp_path: Path) -> None:
    review = made_review(tmp_path, {"a": "p", "b": "q", "c": "r"})
    assert judges(review) == {"a"}
    trained(review, ["a", "b"], ["c"])
    trained(review, ["c"], ["a"], model="lesion")
    assert judges(review) == {"c"}
    made_review(tmp_path, {"d": "n", "e": "o"})
    assert judges(review) == {"c", "d"}
    trained(review, ["c", "d", "e"], ["a", "b"])
    assert judges(review) == {"d", "e"}


def test_one_patient_cannot_teach_and_judge(tmp_path: Path) -> None:
    review = made_review(tmp_path, {"a": "p", "b": "p"})
    with pytest.raises(ReviewError, match="scans of 2 patients"):
        part_cases(review, "lung")


def test_other_cases_are_learnt_from_and_do_not_judge(tmp_path: Path) -> None:
    review = made_review(tmp_path / "mine", {"a": "p"})
    more = made_review(tmp_path / "more", {"x": "x", "y": "y"}).cases
    parts = part_cases(review, "lung", [more])
    assert {path.name for path in parts.judged} == {"a"}
    assert {path.name for path in parts.learnt} == {"x", "y"}


def made_candidate(folder: Path) -> Path:
    """Version 2 of the tiny lung model."""
    candidate = write_tiny_repository(folder) / "lung"
    (candidate / "1").rename(candidate / "2")
    spec = candidate / "spec.toml"
    spec.write_text(
        spec.read_text().replace("version = 1", "version = 2").replace("1/model", "2/model")
    )
    return candidate


#: Spec and card, of the old version, of the new one, and as what is served.
WRITES = 6


@pytest.mark.parametrize("write", range(WRITES + 1))
def test_an_installation_that_is_broken_off_leaves_one_version_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: int
) -> None:
    lung = own_repository(tmp_path / "models", write_tiny_repository(tmp_path / "shipped")) / "lung"
    candidate = made_candidate(tmp_path / "candidate")
    for model in (lung, candidate):
        (model / "MODEL_CARD.md").write_text("# lung\n")
    writes = iter(range(100))

    def breaking(path: Path, content: bytes) -> None:
        if next(writes) == write:
            raise KeyboardInterrupt
        replace_file(path, content)

    monkeypatch.setattr(versions, "replace_file", breaking)
    if write < WRITES:
        with pytest.raises(KeyboardInterrupt):
            install(candidate, lung)
    else:
        install(candidate, lung)
    served = load_spec(lung)
    assert served.version == (1 if write < WRITES else 2)
    served.artefact("fp32").verify()
    monkeypatch.undo()
    if (lung / "2").exists():
        restore_version(lung, 2)
    else:
        install(candidate, lung)
    assert load_spec(lung).version == 2
    load_spec(lung).artefact("fp32").verify()


def test_one_training_at_a_time(tmp_path: Path) -> None:
    review = ReviewFolder(tmp_path / "review")
    with review.locked(), pytest.raises(ReviewError, match="under way"), review.locked():
        pass
    with review.locked():
        pass


def test_versions_are_installed_and_taken_back(tmp_path: Path) -> None:
    shipped = write_tiny_repository(tmp_path / "shipped")
    models = own_repository(tmp_path / "models", shipped)
    candidate = made_candidate(tmp_path / "candidate")
    assert next_version(models / "lung") == 2
    install(candidate, models / "lung")
    assert load_spec(models / "lung").version == 2
    assert load_spec(models / "lung").artefact("fp32").path == models / "lung" / "2" / "model.onnx"
    assert load_spec(shipped / "lung").version == 1
    assert restore_version(models / "lung", 1) == 2
    assert load_spec(models / "lung").version == 1
    assert next_version(models / "lung") == 3
    assert restore_version(models / "lung", 2) == 1
    broken_off = models / "lung" / "3.part"
    broken_off.mkdir()
    shutil.copy(models / "lung" / "spec.toml", broken_off)
    with pytest.raises(ReviewError, match="lung has no version 9; there are 1, 2"):
        restore_version(models / "lung", 9)
    with pytest.raises(ReviewError, match="is there already"):
        own_repository(models, shipped)
    assert own_repository(models) == models
