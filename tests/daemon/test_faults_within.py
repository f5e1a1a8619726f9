"""Faults that only show from within: the daemon runs in this process, and its disk fails."""

from __future__ import annotations

import asyncio
import errno
import gc
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from appliance.config import Config
from appliance.daemon import Addresses, Daemon
from appliance.live.session import LiveScan
from appliance.notify import ServiceManager
from appliance.scan.events import CompletedBy
from appliance.scan.scan import Scan
from appliance.storage.errors import SpoolReadError
from appliance.storage.record import RecordKind, RecordRef
from appliance.storage.results import ResultsStore
from appliance.storage.spool import Spool
from breathhold.v1 import scan_pb2 as pb
from breathhold.v1 import triage_pb2, triage_pb2_grpc, types_pb2
from tests.box import Call, send_scan
from tests.forked import ForkedBox
from tests.made_scans import raw_slices

OPEN = pb.OpenScan(series_instance_uid="1.2.3", station="CT1")


@contextmanager
def daemon_within(
    state: Path, repository: Path, manager: ServiceManager | None = None, **engine: object
) -> Iterator[Addresses]:
    """A daemon on a thread of this process, with further settings of its engines."""
    config = Config.model_validate(
        {
            "server": {"listen": "127.0.0.1:0", "http": "127.0.0.1:0"},
            "storage": {"state_dir": str(state)},
            "scan": {"abandon_s": 0.5},
            "engine": {"repository": str(repository), **engine},
        }
    )
    started, stop = threading.Event(), threading.Event()
    found: list[Addresses] = []

    async def run() -> None:
        daemon = Daemon(config, manager)
        found.append(await daemon.start())
        started.set()
        await asyncio.to_thread(stop.wait)
        await daemon.stop()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    assert started.wait(60)
    try:
        yield found[0]
    finally:
        stop.set()
        thread.join(60)
        assert not thread.is_alive()
        gc.collect()  # its pipelines and their threads go now, not in the middle of another test


def left_by_a_kill(folder: Path, repository: Path) -> Path:
    """A state folder with 30 acknowledged slices of a scan that nobody ended."""
    with ForkedBox(folder, repository) as box:
        call = Call(box.grpc, OPEN)
        call.send_slices(raw_slices())
        call.wait_for_answers(30)
        box.kill()
        call.result()
    return folder / "state"


def test_a_scan_that_cannot_be_read_back_is_not_reported_in_part(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = left_by_a_kill(tmp_path, repository)
    read = Spool.read
    slices_read = 0

    def failing(spool: Spool, ref: RecordRef) -> bytes:
        nonlocal slices_read
        slices_read += ref.kind is RecordKind.SLICE
        if ref.kind is RecordKind.SLICE and slices_read == 14:
            raise SpoolReadError("reading a slice", OSError(errno.EIO, "I/O error"))
        return read(spool, ref)

    monkeypatch.setattr(Spool, "read", failing)
    with daemon_within(state, repository) as addresses:
        with grpc.insecure_channel(addresses.grpc) as channel:
            stub = triage_pb2_grpc.TriageServiceStub(channel)
            for change in stub.Watch(triage_pb2.WatchRequest(), timeout=20):
                lines = [*change.snapshot.scans, change.changed]
                if any(line.state == types_pb2.SCAN_STATE_FAILED for line in lines):
                    break
            time.sleep(1.0)  # longer than a scan may be silent
            with pytest.raises(grpc.RpcError) as caught:
                stub.GetReport(triage_pb2.GetReportRequest(series_instance_uid="1.2.3"))
            assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
        again = send_scan(addresses.grpc, OPEN, [])
    assert again.opened is not None
    assert len(again.opened.kept_sop_instance_uids) == 30
    assert again.final_report.slices == 30


def test_a_report_that_cannot_be_written_is_told_and_written_later(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = ResultsStore.save_report

    def failing(*_: object) -> None:
        raise RuntimeError("a fault nobody thought of")

    with daemon_within(tmp_path, repository) as addresses:
        monkeypatch.setattr(ResultsStore, "save_report", failing)
        first = send_scan(addresses.grpc, OPEN, raw_slices())
        assert isinstance(first.error, grpc.Call)
        assert first.error.code() == grpc.StatusCode.INTERNAL
        assert len(first.acks) == 30
        monkeypatch.setattr(ResultsStore, "save_report", save)
        again = send_scan(addresses.grpc, OPEN, [])
    assert again.final_report.slices == 30
    assert again.final_report.completed_by == types_pb2.COMPLETED_BY_END


def test_a_scan_that_fails_at_its_end_is_told_and_goes_on_later(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete, summary = Scan.complete, LiveScan.summary

    def failing(scan: Scan, by: CompletedBy) -> None:
        complete(scan, by)
        raise RuntimeError("a fault nobody thought of")

    def failing_once_broken_off(live: LiveScan) -> triage_pb2.ScanSummary:
        if live.error:
            raise RuntimeError("a line that cannot be written")
        return summary(live)

    with daemon_within(tmp_path, repository) as addresses:
        monkeypatch.setattr(Scan, "complete", failing)
        monkeypatch.setattr(LiveScan, "summary", failing_once_broken_off)
        first = send_scan(addresses.grpc, OPEN, raw_slices())
        assert isinstance(first.error, grpc.Call)
        assert first.error.code() == grpc.StatusCode.INTERNAL
        assert len(first.acks) == 30
        monkeypatch.setattr(Scan, "complete", complete)
        monkeypatch.setattr(LiveScan, "summary", summary)
        again = send_scan(addresses.grpc, OPEN, [])
    assert again.final_report.slices == 30
