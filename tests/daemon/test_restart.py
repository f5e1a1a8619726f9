"""Acknowledged means kept: the daemon is killed, stopped and started again."""

from __future__ import annotations

import random
from pathlib import Path

import grpc
import pytest

from breathhold.v1 import scan_pb2 as pb
from breathhold.v1 import triage_pb2, triage_pb2_grpc, types_pb2
from tests.box import Answers, Box, Call, send_scan
from tests.made_scans import raw_slices

OPEN = pb.OpenScan(series_instance_uid="1.2.3", station="CT1", send_masks=True)


@pytest.fixture(scope="module")
def undisturbed(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Answers:
    with Box(tmp_path_factory.mktemp("undisturbed"), repository) as box:
        return send_scan(box.grpc, OPEN, raw_slices(60))


def runs(answers: Answers) -> dict[str, list[int]]:
    return {uid: list(mask.runs) for uid, mask in answers.masks.items()}


@pytest.mark.parametrize("seed", [1, 2])
def test_shuffled_doubled_and_killed_three_times(
    repository: Path, tmp_path: Path, undisturbed: Answers, seed: int
) -> None:
    mixer = random.Random(seed)
    slices = raw_slices(60)
    slices += mixer.sample(slices, 6)
    mixer.shuffle(slices)
    cuts = sorted(mixer.sample(range(3, 62), 3))
    acknowledged: set[str] = set()
    for begin, end in zip([0, *cuts[:-1]], cuts, strict=True):
        with Box(tmp_path, repository) as box:
            call = Call(box.grpc, OPEN)
            call.send_slices(slices[begin:])
            call.wait_for_answers(end - begin)
            box.kill()
            answers = call.result()
        assert answers.opened is not None
        assert acknowledged <= {*answers.opened.kept_sop_instance_uids}
        acknowledged |= {ack.sop_instance_uid for ack in answers.acks}
    with Box(tmp_path, repository) as box:
        final = send_scan(box.grpc, OPEN, slices)
    assert final.opened is not None
    assert acknowledged <= {*final.opened.kept_sop_instance_uids}
    assert final.final_report == undisturbed.final_report
    assert runs(final) == runs(undisturbed)


def test_a_scan_that_was_ended_is_reported_after_a_kill(
    repository: Path, tmp_path: Path, undisturbed: Answers
) -> None:
    slices = raw_slices(60)
    with Box(tmp_path, repository) as box:
        call = Call(box.grpc, OPEN)
        call.send_slices(slices)
        call.wait_for_answers(60)
        call.end()
        box.kill()
        call.result()
    with Box(tmp_path, repository) as box:
        answers = send_scan(box.grpc, OPEN, slices)
    assert answers.final_report == undisturbed.final_report


def test_reports_masks_and_board_outlive_a_restart(
    repository: Path, tmp_path: Path, undisturbed: Answers
) -> None:
    with Box(tmp_path, repository) as box:
        send_scan(box.grpc, OPEN, raw_slices(60))
        assert box.stop() == 0
    with Box(tmp_path, repository) as box:
        again = send_scan(box.grpc, OPEN, [])
        with grpc.insecure_channel(box.grpc) as channel:
            stub = triage_pb2_grpc.TriageServiceStub(channel)
            (line,) = stub.ListScans(triage_pb2.ListScansRequest()).scans
    assert again.final_report == undisturbed.final_report
    assert runs(again) == runs(undisturbed)
    assert line.scores.po == pytest.approx(undisturbed.final_report.scores.po)
    assert not line.running


def test_a_graceful_stop_parks_what_runs_and_tells_the_caller(
    repository: Path, tmp_path: Path, undisturbed: Answers
) -> None:
    slices = raw_slices(60)
    with Box(tmp_path, repository) as box:
        call = Call(box.grpc, OPEN)
        call.send_slices(slices[:40])
        call.wait_for_answers(40)
        assert box.stop() == 0
        answers = call.result()
        assert isinstance(answers.error, grpc.Call)
        assert answers.error.code() == grpc.StatusCode.UNAVAILABLE
    with Box(tmp_path, repository) as box:
        final = send_scan(box.grpc, OPEN, slices[40:])
    assert final.final_report == undisturbed.final_report


def test_silence_ends_a_scan_and_a_late_caller_goes_on_with_it(
    repository: Path, tmp_path: Path, undisturbed: Answers
) -> None:
    slices = raw_slices(60)
    with Box(tmp_path, repository, "[scan]\nquiet_s = 0.5\nabandon_s = 0.5\n") as box:
        call = Call(box.grpc, OPEN)
        call.send_slices(slices[:45])
        quiet = call.result()
        assert quiet.final_report.completed_by == types_pb2.COMPLETED_BY_QUIET
        assert quiet.final_report.slices == 45
        late = send_scan(box.grpc, OPEN, slices[45:])
    assert late.opened is not None
    assert len(late.opened.kept_sop_instance_uids) == 45
    assert late.final_report == undisturbed.final_report


def test_a_caller_that_is_gone_abandons_its_scan(repository: Path, tmp_path: Path) -> None:
    with Box(tmp_path, repository, "[scan]\nabandon_s = 0.5\n") as box:
        call = Call(box.grpc, OPEN)
        call.send_slices(raw_slices(60)[:50])
        call.wait_for_answers(50)
        call.close()
        with grpc.insecure_channel(box.grpc) as channel:
            stub = triage_pb2_grpc.TriageServiceStub(channel)
            for change in stub.Watch(triage_pb2.WatchRequest(), timeout=20):
                if change.changed.state == types_pb2.SCAN_STATE_ABANDONED:
                    break
            request = triage_pb2.GetReportRequest(series_instance_uid="1.2.3")
            report = stub.GetReport(request).report
    assert report.completed_by == types_pb2.COMPLETED_BY_ABANDONED
    assert report.slices == 50


def test_no_patient_data_and_no_errors_in_the_log(repository: Path, tmp_path: Path) -> None:
    with Box(tmp_path, repository) as box:
        send_scan(box.grpc, OPEN, raw_slices(30))
        box.stop()
        log = box.log_text()
    assert "Traceback" not in log
    assert "ERROR" not in log
