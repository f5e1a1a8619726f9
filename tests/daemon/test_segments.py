"""Scores by lung segment where a site has a model of them, through a daemon."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from breathhold.v1 import model_pb2, model_pb2_grpc, types_pb2
from engines.divider import Divider
from tests.box import Answers, Box, Call, send_scan
from tests.cli.command import Command
from tests.daemon.test_faults_within import daemon_within
from tests.daemon.test_lobes import OPEN
from tests.forked import ForkedBox
from tests.made_scans import raw_slices
from tests.tiny_models import SEGMENT_NAMES, write_lobes_repository, write_segments_repository


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_segments_repository(tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="module")
def box(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with ForkedBox(tmp_path_factory.mktemp("box"), repository) as running:
        yield running


@pytest.fixture(scope="module")
def undisturbed(box: Box) -> Answers:
    return send_scan(box.grpc, OPEN, raw_slices(60))


def test_segments_are_parts_of_the_whole(undisturbed: Answers) -> None:
    report = undisturbed.final_report
    assert [region.name for region in report.segments] == list(SEGMENT_NAMES)
    scores = report.scores
    for of_whole, of_part in (
        (scores.lung_ml, [one.lung_ml for one in report.segments]),
        (scores.lesion_ml, [one.lesion_ml for one in report.segments]),
        (scores.high_opacity_ml, [one.high_opacity_ml for one in report.segments]),
    ):
        assert sum(of_part) == pytest.approx(of_whole)
    for segment in report.segments:
        assert segment.po == pytest.approx(100 * segment.lesion_ml / segment.lung_ml)
        assert segment.pho == pytest.approx(100 * segment.high_opacity_ml / segment.lung_ml)
    right = [one.lung_ml for one in report.segments if one.name.startswith("right_")]
    assert sum(right) == pytest.approx(report.sides[0].lung_ml, rel=0.01)
    reference = report.models["segments"]
    assert (reference.name, reference.version, reference.precision) == ("segments", 1, "fp32")
    assert "SEGMENTS_FAILED" not in {warning.reason for warning in report.warnings}


def test_everything_else_is_as_without_such_a_model(undisturbed: Answers, tmp_path: Path) -> None:
    with ForkedBox(tmp_path / "box", write_lobes_repository(tmp_path / "repository")) as box:
        without = send_scan(box.grpc, OPEN, raw_slices(60)).final_report
    assert not without.segments
    assert without.models.keys() == {"lung", "lesion", "lobes"}
    report = types_pb2.Report()
    report.CopyFrom(undisturbed.final_report)
    report.ClearField("segments")
    del report.models["segments"]
    assert report == without


def test_shuffled_doubled_and_killed(
    repository: Path, tmp_path: Path, undisturbed: Answers
) -> None:
    """Every score is the undisturbed one, bit for bit."""
    mixer = random.Random(2)
    slices = raw_slices(60)
    slices += mixer.sample(slices, 6)
    mixer.shuffle(slices)
    with ForkedBox(tmp_path, repository) as box:
        call = Call(box.grpc, OPEN)
        call.send_slices(slices[:40])
        call.wait_for_answers(40)
        box.kill()
        call.result()
    with ForkedBox(tmp_path, repository) as box:
        final = send_scan(box.grpc, OPEN, slices)
    assert final.final_report == undisturbed.final_report


@pytest.mark.parametrize(
    ("failing", "reason"), [("segments", "SEGMENTS_FAILED"), ("lobes", "LOBES_FAILED")]
)
def test_what_fails_is_named_and_the_rest_is_reported(
    repository: Path,
    tmp_path: Path,
    undisturbed: Answers,
    monkeypatch: pytest.MonkeyPatch,
    failing: str,
    reason: str,
) -> None:
    divide = Divider.divide

    def fail_for_one(divider: Divider, *given: Any) -> Any:
        if divider.role == failing:
            raise RuntimeError("no answer")
        return divide(divider, *given)

    monkeypatch.setattr(Divider, "divide", fail_for_one)
    with daemon_within(tmp_path, repository) as addresses:
        report = send_scan(addresses.grpc, OPEN, raw_slices(60)).final_report
    whole = undisturbed.final_report
    assert report.state == types_pb2.SCAN_STATE_REPORTED
    assert report.scores == whole.scores
    failures = [one.message for one in report.warnings if one.reason.endswith("_FAILED")]
    assert len(failures) == 1
    assert reason in {warning.reason for warning in report.warnings}
    assert failing in failures[0]
    assert failing not in report.models
    if failing == "segments":
        assert not report.segments
        assert (report.lobes, report.lss, report.sides) == (whole.lobes, whole.lss, whole.sides)
    else:
        assert report.segments == whole.segments
        assert not report.lobes
        assert not report.HasField("lss")


def test_the_model_is_listed_as_any(box: Box) -> None:
    with grpc.insecure_channel(box.grpc) as channel:
        stub = model_pb2_grpc.ModelServiceStub(channel)
        answer = stub.ListModels(model_pb2.ListModelsRequest(), timeout=10)
    (model,) = [one for one in answer.models if one.role == "segments"]
    assert model.warm
    assert model.runtime == "openvino"
    assert len(model.reference.sha256) == 64


def test_the_command_shows_segments(
    box: Box, undisturbed: Answers, capsys: pytest.CaptureFixture[str]
) -> None:
    command, scan_id = Command(capsys), undisturbed.final_report.scan_id
    shown = command("report", scan_id, "--to", box.grpc)
    assert shown.code == 0
    assert "right segment 10" in shown.out
    (record,) = command("report", scan_id, "--to", box.grpc, "--json").event("report")
    assert [one["name"] for one in record["segments"]] == list(SEGMENT_NAMES)
    assert record["segments"][0]["po"] == undisturbed.final_report.segments[0].po
    assert record["models"]["segments"]["name"] == "segments"


def test_the_doctor_looks_at_it(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "box.toml"
    state = tmp_path / "state"
    config.write_text(f'[engine]\nrepository = "{repository}"\n[storage]\nstate_dir = "{state}"\n')
    ran = Command(capsys)("doctor", "--json", "--config", config)
    found = {check["name"]: check for check in ran.event("check")}
    for line in ("model segments fp32", "precision of segments"):
        assert found[line]["ok"], line
    assert ", segments, " in found["model segments fp32"]["detail"]
