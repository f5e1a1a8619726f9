"""Acknowledged means kept: the daemon is killed, stopped and started again."""

from __future__ import annotations

import random
import urllib.request
from pathlib import Path

import grpc
import pydicom
import pytest

from appliance.live.scans import scan_id_of
from appliance.storage.record import RecordKind
from appliance.storage.spool import Spool
from breathhold.v1 import scan_pb2 as pb
from breathhold.v1 import triage_pb2, triage_pb2_grpc, types_pb2
from calibration.phantom import make_phantom, write_dicom_series
from tests.box import Answers, Call, send_scan
from tests.forked import ForkedBox
from tests.made_scans import raw_slices

OPEN = pb.OpenScan(series_instance_uid="1.2.3", station="CT1", send_masks=True)


@pytest.fixture(scope="module")
def undisturbed(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Answers:
    with ForkedBox(tmp_path_factory.mktemp("undisturbed"), repository) as box:
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
        with ForkedBox(tmp_path, repository) as box:
            call = Call(box.grpc, OPEN)
            call.send_slices(slices[begin:])
            call.wait_for_answers(end - begin)
            box.kill()
            answers = call.result()
        assert answers.opened is not None
        assert acknowledged <= {*answers.opened.kept_sop_instance_uids}
        acknowledged |= {ack.sop_instance_uid for ack in answers.acks}
    with ForkedBox(tmp_path, repository) as box:
        final = send_scan(box.grpc, OPEN, slices)
    assert final.opened is not None
    assert acknowledged <= {*final.opened.kept_sop_instance_uids}
    assert final.final_report == undisturbed.final_report
    assert runs(final) == runs(undisturbed)


def end_records(state: Path) -> int:
    """How many signals of an end lie in the spool."""
    with Spool(state) as spool:
        refs = [ref for scan_id in spool.scans() for ref in spool.recover(scan_id).records]
    return sum(ref.kind is RecordKind.END for ref in refs)


def test_a_scan_that_was_ended_is_reported_after_a_kill(
    repository: Path, tmp_path: Path, undisturbed: Answers
) -> None:
    """Its caller does not come back: the daemon finishes by itself what it was told to end."""
    with ForkedBox(tmp_path, repository) as box:
        call = Call(box.grpc, OPEN)
        call.send_slices(raw_slices(60))
        call.end()
        call.result()
        box.kill()
    for path in (tmp_path / "state").glob("results.sqlite*"):
        path.unlink()
    assert end_records(tmp_path / "state") == 1
    with ForkedBox(tmp_path, repository) as box, grpc.insecure_channel(box.grpc) as channel:
        report = await_report(triage_pb2_grpc.TriageServiceStub(channel))
    report.ClearField("timing")
    assert report == undisturbed.final_report


def await_report(stub: triage_pb2_grpc.TriageServiceStub) -> types_pb2.Report:
    for change in stub.Watch(triage_pb2.WatchRequest(), timeout=30):
        lines = [*change.snapshot.scans, change.changed]
        if any(line.state == types_pb2.SCAN_STATE_REPORTED for line in lines):
            break
    request = triage_pb2.GetReportRequest(series_instance_uid="1.2.3")
    return stub.GetReport(request).report


def test_reports_masks_and_board_outlive_a_restart(
    repository: Path, tmp_path: Path, undisturbed: Answers
) -> None:
    with ForkedBox(tmp_path, repository) as box:
        send_scan(box.grpc, OPEN, raw_slices(60))
        assert box.stop() == 0
    with ForkedBox(tmp_path, repository) as box:
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
    with ForkedBox(tmp_path, repository) as box:
        call = Call(box.grpc, OPEN)
        call.send_slices(slices[:40])
        call.wait_for_answers(40)
        assert box.stop() == 0
        answers = call.result()
        assert isinstance(answers.error, grpc.Call)
        assert answers.error.code() == grpc.StatusCode.UNAVAILABLE
    with ForkedBox(tmp_path, repository) as box:
        final = send_scan(box.grpc, OPEN, slices[40:])
    assert final.final_report == undisturbed.final_report


def test_silence_ends_a_scan_and_a_late_caller_goes_on_with_it(
    repository: Path, tmp_path: Path, undisturbed: Answers
) -> None:
    slices = raw_slices(60)
    with ForkedBox(tmp_path, repository, "[scan]\nquiet_s = 0.5\nabandon_s = 0.5\n") as box:
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
    with ForkedBox(tmp_path, repository, "[scan]\nabandon_s = 0.5\n") as box:
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


def test_an_empty_log_in_the_spool_does_not_poison_its_series(
    repository: Path, tmp_path: Path, undisturbed: Answers
) -> None:
    """What a crash in the very first write leaves behind."""
    log = tmp_path / "state" / "spool" / scan_id_of("1.2.3") / "scan.log"
    log.parent.mkdir(parents=True)
    log.touch()
    with ForkedBox(tmp_path, repository) as box:
        answers = send_scan(box.grpc, OPEN, raw_slices(60))
    assert answers.final_report == undisturbed.final_report


def test_no_patient_data_leaves_the_spool_and_nothing_fails(
    repository: Path, tmp_path: Path
) -> None:
    phantom = make_phantom(1, section="thick", slices=12, matrix=64)
    write_dicom_series(phantom, tmp_path / "dicom")
    files = sorted((tmp_path / "dicom").glob("*.dcm"))
    header = pydicom.dcmread(files[0], stop_before_pixels=True)
    secrets = [str(header.PatientName).encode(), header.PatientID.encode()]
    assert all(secrets)
    opening = pb.OpenScan(series_instance_uid=header.SeriesInstanceUID, station="CT1")
    slices = [
        pb.Slice(sequence=number, dicom=path.read_bytes()) for number, path in enumerate(files)
    ]
    damaged = pb.Slice(sequence=99, dicom=files[0].read_bytes()[:-999])
    with ForkedBox(tmp_path, repository) as box:
        answers = send_scan(box.grpc, opening, [*slices, damaged])
        with urllib.request.urlopen(f"http://{box.http}/metrics") as response:
            metrics = response.read()
        box.stop()
        log = box.log_text()
    assert len(answers.acks) == 12
    assert len(answers.refused) == 1
    assert "Traceback" not in log
    assert "ERROR" not in log
    told = [metrics, log.encode(), answers.final_report.SerializeToString()]
    told += [path.read_bytes() for path in (tmp_path / "state").glob("results.sqlite*")]
    told += [str(path).encode() for path in (tmp_path / "state").rglob("*")]
    assert not [secret for secret in secrets for text in told if secret in text]
