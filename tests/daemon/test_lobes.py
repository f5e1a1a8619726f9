"""Scores by lobe, densities and severity, through a daemon."""

from __future__ import annotations

import itertools
import json
import math
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from breathhold.v1 import model_pb2, model_pb2_grpc, types_pb2
from breathhold.v1 import scan_pb2 as pb
from engines.divider import Divider
from engines.parts import LOBE_NAMES
from engines.runtimes import DeviceLostError
from tests.bench_runtime import Registering
from tests.box import Answers, Box, Call, send_scan
from tests.daemon.test_faults_within import daemon_within
from tests.made_scans import raw_slices
from tests.tiny_models import write_lobes_repository, write_tiny_repository

OPEN = pb.OpenScan(series_instance_uid="1.2.3", station="CT1", send_masks=True)
SEVERITY = {"intercept": -3.0, "poi": 10.0, "ihu": 0.001, "n": 50, "made": "of 50 patients"}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lobes_repository(tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("scores") / "severity.json"
    path.write_text(json.dumps(SEVERITY))
    return f'[scores]\nseverity = "{path}"\n'


@pytest.fixture(scope="module")
def box(repository: Path, scores: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with Box(tmp_path_factory.mktemp("box"), repository, scores) as running:
        yield running


@pytest.fixture(scope="module")
def undisturbed(box: Box) -> Answers:
    return send_scan(box.grpc, OPEN, raw_slices(60))


def test_lobes_are_parts_of_the_whole(undisturbed: Answers) -> None:
    report = undisturbed.final_report
    assert [region.name for region in report.lobes] == list(LOBE_NAMES)
    assert [region.name for region in report.sides] == ["right_lung", "left_lung"]
    for parts in (report.lobes, report.sides):
        assert sum(part.lung_ml for part in parts) == pytest.approx(report.scores.lung_ml)
        assert sum(part.lesion_ml for part in parts) == pytest.approx(report.scores.lesion_ml)
    for lobe in report.lobes:
        assert lobe.po == pytest.approx(100 * lobe.lesion_ml / lobe.lung_ml)
    assert report.lss == sum(math.ceil(lobe.po / 25) for lobe in report.lobes) > 0
    assert report.HasField("lhos")
    assert report.ct_score >= report.lss
    assert report.models["lobes"].name == "lobes"
    assert "LOBES_FAILED" not in {warning.reason for warning in report.warnings}


def test_the_lobes_model_is_listed(box: Box) -> None:
    with grpc.insecure_channel(box.grpc) as channel:
        stub = model_pb2_grpc.ModelServiceStub(channel)
        answer = stub.ListModels(model_pb2.ListModelsRequest(), timeout=10)
    (model,) = [one for one in answer.models if one.role == "lobes"]
    assert model.warm
    assert model.runtime == "openvino"
    assert len(model.reference.sha256) == 64


def test_densities_add_up(undisturbed: Answers) -> None:
    report = undisturbed.final_report
    scores, found = report.scores, report.opacities
    assert found.ggo_ml + found.consolidation_ml == pytest.approx(scores.lesion_ml)
    assert found.consolidation_percent == pytest.approx(scores.pho)
    assert sum(report.lung_histogram.ml) == pytest.approx(scores.lung_ml)
    assert sum(report.lesion_histogram.ml) == pytest.approx(scores.lesion_ml)
    assert 0 < report.normal.hellinger <= 1
    assert 0 <= report.normal.intersection_over_union < 1
    assert "COVID-19" in report.normal.reference


def test_severity_is_by_the_sites_own_fit(undisturbed: Answers) -> None:
    report = undisturbed.final_report
    odds = -3.0 + 10.0 * report.scores.po / 100 + 0.001 * report.scores.ihu
    assert report.severity_probability == pytest.approx(1 / (1 + math.exp(-odds)))


def test_shuffled_doubled_and_killed_twice(
    repository: Path, scores: str, tmp_path: Path, undisturbed: Answers
) -> None:
    """Every score is the undisturbed one, bit for bit."""
    mixer = random.Random(1)
    slices = raw_slices(60)
    slices += mixer.sample(slices, 6)
    mixer.shuffle(slices)
    for cut in (20, 45):
        with Box(tmp_path, repository, scores) as box:
            call = Call(box.grpc, OPEN)
            call.send_slices(slices[:cut])
            call.wait_for_answers(cut)
            box.kill()
            call.result()
    with Box(tmp_path, repository, scores) as box:
        final = send_scan(box.grpc, OPEN, slices)
    assert final.final_report == undisturbed.final_report


def test_what_memory_does_not_hold_is_made_again(
    repository: Path, tmp_path: Path, undisturbed: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.inference.planes.PixelCache.get", lambda self, key: None)
    with daemon_within(tmp_path, repository) as addresses:
        report = send_scan(addresses.grpc, OPEN, raw_slices(60)).final_report
    assert report.lobes == undisturbed.final_report.lobes


def test_other_scans_at_the_same_time_change_nothing(box: Box, undisturbed: Answers) -> None:
    calls = []
    for number in range(3):
        series = f"1.2.40.{number}"
        call = Call(box.grpc, pb.OpenScan(series_instance_uid=series, station="CT1"))
        call.send_slices(raw_slices(60, series=series))
        call.end()
        calls.append(call)
    for call in calls:
        report = call.result().final_report
        assert report.lobes == undisturbed.final_report.lobes
        assert report.lss == undisturbed.final_report.lss


@pytest.mark.parametrize("fault", [RuntimeError("no answer"), MemoryError()])
def test_lobes_that_fail_cost_no_report(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    def fail(*_: object) -> None:
        raise fault

    monkeypatch.setattr(Divider, "divide", fail)
    with daemon_within(tmp_path, repository) as addresses:
        report = send_scan(addresses.grpc, OPEN, raw_slices(60)).final_report
    assert report.state == types_pb2.SCAN_STATE_REPORTED
    assert report.scores.HasField("po")
    assert "LOBES_FAILED" in {warning.reason for warning in report.warnings}
    assert not report.HasField("lss")
    assert not report.lobes
    assert "lobes" not in report.models
    assert report.HasField("opacities")


def test_a_device_lost_with_the_lobes_hands_them_to_another(
    repository: Path,
    tmp_path: Path,
    bench: Registering,
    undisturbed: Answers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    divide, calls = Divider.divide, itertools.count()

    def lose_the_first(*given: Any) -> Any:
        if next(calls) == 0:
            raise DeviceLostError("the device is gone")
        return divide(*given)

    monkeypatch.setattr(Divider, "divide", lose_the_first)
    bench(a="x", b="x")
    with daemon_within(tmp_path, repository, runtime="bench") as addresses:
        report = send_scan(addresses.grpc, OPEN, raw_slices(60)).final_report
    assert report.lobes == undisturbed.final_report.lobes
    assert "DEVICE_LOST" in {warning.reason for warning in report.warnings}


def test_a_scan_that_is_too_short_or_abandoned_has_no_lobes(box: Box) -> None:
    series = "1.2.41"
    opening = pb.OpenScan(series_instance_uid=series, station="CT1")
    report = send_scan(box.grpc, opening, raw_slices(series=series)[:8]).final_report
    assert report.scores.no_score == types_pb2.NO_SCORE_TOO_SHORT
    assert not report.lobes
    assert not report.HasField("opacities")
    call = Call(box.grpc, pb.OpenScan(series_instance_uid="1.2.42", station="CT1"))
    call.send_slices(raw_slices(60, series="1.2.42"))
    call.end(abandon=True)
    report = call.result().final_report
    assert report.state == types_pb2.SCAN_STATE_ABANDONED
    assert report.scores.HasField("po")
    assert report.HasField("opacities")
    assert not report.lobes
    assert not report.HasField("lss")
    assert "lobes" not in report.models


def test_without_a_lobes_model_the_rest_is_reported(tmp_path: Path) -> None:
    repository = write_tiny_repository(tmp_path / "repository")
    with Box(tmp_path / "box", repository, "[scores]\n") as box:
        report = send_scan(box.grpc, OPEN, raw_slices(60)).final_report
    assert not report.lobes
    assert not report.HasField("lss")
    assert not report.HasField("severity_probability")
    assert report.HasField("normal")
    assert report.models.keys() == {"lung", "lesion"}


def test_coefficients_that_cannot_be_read_stop_the_start(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'[scores]\nseverity = "{tmp_path / "nowhere"}"\n')
    command = [sys.executable, "-m", "appliance.cli", "serve", "--config", str(config)]
    command += ["--state", str(tmp_path / "state"), "--listen", "127.0.0.1:0"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 1
    assert f"{tmp_path / 'nowhere'}: No such file" in run.stderr
