"""Decoders that die or hang in a running daemon: a good slice is read, whatever happened before."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
import pytest

from appliance.client import Interrupted, OutgoingScan, ScanClient, dicom_slices
from appliance.failpoints import VARIABLE
from appliance.ingest import peek_uids
from breathhold.v1 import scan_pb2 as pb
from breathhold.v1 import types_pb2
from calibration.phantom import make_phantom, write_dicom_series
from tests.box import Call, send_scan
from tests.forked import ForkedBox

ONE_READER = "[server]\nreaders = 1\n"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("phantom")
    write_dicom_series(make_phantom(3, section="thick", slices=14), folder)
    return sorted(folder.glob("*.dcm"))


@pytest.fixture(scope="module")
def slices(files: list[Path]) -> list[pb.Slice]:
    return [
        pb.Slice(sequence=number, dicom=path.read_bytes())
        for number, path in enumerate(files, start=1)
    ]


@pytest.fixture(scope="module")
def opening(slices: list[pb.Slice]) -> pb.OpenScan:
    uids = peek_uids(slices[0].dicom)
    return pb.OpenScan(series_instance_uid=uids.series, station="CT1")


@pytest.fixture(scope="module")
def undisturbed(
    repository: Path,
    tmp_path_factory: pytest.TempPathFactory,
    slices: list[pb.Slice],
    opening: pb.OpenScan,
) -> types_pb2.Report:
    with ForkedBox(tmp_path_factory.mktemp("undisturbed"), repository) as box:
        return send_scan(box.grpc, opening, slices).final_report


def readers(box: ForkedBox) -> list[psutil.Process]:
    found = psutil.Process(box.process.pid).children()
    return [one for one in found if "appliance.ingest.child" in " ".join(one.cmdline())]


def test_decoders_that_die_cost_no_slice(
    repository: Path,
    tmp_path: Path,
    slices: list[pb.Slice],
    opening: pb.OpenScan,
    undisturbed: types_pb2.Report,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At work, and idle, as when the kernel ends them for want of memory."""
    monkeypatch.setenv(VARIABLE, "decoder=kill@5")
    with ForkedBox(tmp_path, repository, ONE_READER) as box:
        call = Call(box.grpc, opening)
        call.send_slices(slices[:7])
        call.wait_for_answers(7)
        (idle,) = readers(box)
        idle.kill()
        call.send_slices(slices[7:])
        call.end()
        answers = call.result()
        assert box.process.poll() is None
        assert "died of SIGKILL" in box.log_text()
    assert len(answers.acks) == 14
    assert not answers.refused
    assert answers.final_report == undisturbed


def test_a_slice_that_every_decoder_dies_of_is_refused(
    repository: Path,
    tmp_path: Path,
    slices: list[pb.Slice],
    opening: pb.OpenScan,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(VARIABLE, "decoder=kill")
    with ForkedBox(tmp_path, repository, ONE_READER) as box:
        answers = send_scan(box.grpc, opening, slices[:2])
        assert box.process.poll() is None
        assert box.log_text().count("died of SIGKILL") == 4
    assert [refused.refusal.reason for refused in answers.refused] == ["UNDECODABLE"] * 2
    assert answers.report is not None


def test_a_box_without_memory_has_the_slice_sent_again(
    repository: Path,
    tmp_path: Path,
    files: list[Path],
    opening: pb.OpenScan,
    undisturbed: types_pb2.Report,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The call ends with a hint when to come back, and the report is that of all slices."""
    monkeypatch.setenv(VARIABLE, "decoder=ENOMEM@3")
    scan = OutgoingScan(opening, dicom_slices(files))
    with ForkedBox(tmp_path, repository, ONE_READER) as box, ScanClient(box.grpc) as client:
        events = list(client.send(scan))
    (interrupted,) = (event for event in events if isinstance(event, Interrupted))
    assert interrupted.error.reason == "READERS_UNAVAILABLE"
    assert interrupted.error.retry_s == interrupted.wait_s == 2.0
    assert not any(isinstance(event, pb.SliceRefused) for event in events)
    assert isinstance(events[-1], types_pb2.Report)
    events[-1].ClearField("timing")
    assert events[-1] == undisturbed


def test_hanging_decoders_hold_up_no_other_scan(
    repository: Path,
    tmp_path: Path,
    slices: list[pb.Slice],
    opening: pb.OpenScan,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every process hangs on a slice of one console; another console's is read meanwhile."""
    monkeypatch.setenv(VARIABLE, "decoder=hang@2")
    with ForkedBox(tmp_path, repository, ONE_READER) as box:
        hung = Call(box.grpc, opening)
        hung.send_slices(slices[:2])
        hung.wait_for_answers(1)
        other = Call(box.grpc, pb.OpenScan(series_instance_uid="1.2.82", station="CT2"))
        started = time.monotonic()
        other.send_slices(slices[2:3])
        other.wait_for_answers(1)
        assert time.monotonic() - started < 15
        assert len(hung.answers.acks) + len(hung.answers.refused) == 1
        hung.close()
        other.close()


def test_a_box_without_memory_forgets_no_kept_slice(
    repository: Path,
    tmp_path: Path,
    files: list[Path],
    slices: list[pb.Slice],
    opening: pb.OpenScan,
    undisturbed: types_pb2.Report,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Taken up after a restart, a scan waits for memory rather than go on without a slice."""
    with ForkedBox(tmp_path, repository, ONE_READER) as box:
        call = Call(box.grpc, opening)
        call.send_slices(slices)
        call.wait_for_answers(14)
    monkeypatch.setenv(VARIABLE, "decoder=ENOMEM@3")
    with ForkedBox(tmp_path, repository, ONE_READER) as box, ScanClient(box.grpc) as client:
        report = list(client.send(OutgoingScan(opening, dicom_slices(files))))[-1]
    assert isinstance(report, types_pb2.Report)
    report.ClearField("timing")
    assert report == undisturbed
