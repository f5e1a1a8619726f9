"""Faults one by one, each hit on purpose: the caller is told, and nothing acknowledged is lost."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from appliance.client import Interrupted, OutgoingScan, ScanClient
from appliance.client.errors import ClientError, from_rpc
from appliance.live.scans import scan_id_of
from appliance.storage.record import Record, RecordKind
from appliance.storage.spool import Spool
from breathhold.v1 import scan_pb2 as pb
from breathhold.v1 import triage_pb2, triage_pb2_grpc, types_pb2
from tests.box import Answers, Call, send_scan
from tests.faults.lives import Life
from tests.made_scans import raw_slices

OPEN = pb.OpenScan(series_instance_uid="1.2.3", station="CT1", send_masks=True)
_SLICES = 36


@dataclass(frozen=True)
class Made:
    """A slice that needs no file."""

    sop_instance_uid: str
    made: pb.Slice

    def message(self) -> pb.Slice:
        return self.made


@pytest.fixture(scope="module")
def undisturbed(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Answers:
    with Life(tmp_path_factory.mktemp("undisturbed"), repository) as life:
        return send_scan(life.grpc, OPEN, raw_slices(_SLICES))


def error_of(answers: Answers) -> ClientError:
    assert answers.error is not None
    return from_rpc(answers.error, "the daemon")


def same(answers: Answers, wanted: Answers) -> bool:
    masks = {uid: list(mask.runs) for uid, mask in answers.masks.items()}
    expected = {uid: list(mask.runs) for uid, mask in wanted.masks.items()}
    return answers.final_report == wanted.final_report and masks == expected


def send_until_reported(life: Life) -> tuple[Answers, list[ClientError]]:
    """As a caller that is told of a fault and comes again."""
    errors: list[ClientError] = []
    acknowledged: set[str] = set()
    while True:
        answers = send_scan(life.grpc, OPEN, raw_slices(_SLICES))
        if answers.opened:
            assert acknowledged <= {*answers.opened.kept_sop_instance_uids}
        acknowledged |= {ack.sop_instance_uid for ack in answers.acks}
        if answers.report:
            return answers, errors
        errors.append(error_of(answers))
        assert len(errors) < 5, errors


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        ("spool.write=ENOSPC@4", "NOT_KEPT"),
        ("spool.sync=EIO@4", "NOT_KEPT"),
        ("spool.sync=ENOSPC@1", "NOT_KEPT"),
        ("spool.write=EROFS@3", "NOT_KEPT"),
        ("results.save=ENOSPC@1", "RESULTS_NOT_KEPT"),
        ("results.commit=EIO@1", "RESULTS_NOT_KEPT"),
        ("results.commit=fault@1", "INTERNAL"),
        ("ack=fault@5", "INTERNAL"),
        ("audit=ENOSPC@1+", None),
        ("engine=fault@2", None),
        ("engine.answer=fault@2", None),
        ("queue.take=sleep:0.3@2", None),
    ],
)
def test_a_fault_that_passes(
    repository: Path, tmp_path: Path, undisturbed: Answers, plan: str, reason: str | None
) -> None:
    with Life(tmp_path, repository, plan, storage=impatient(tmp_path)) as life:
        answers, errors = send_until_reported(life)
        assert same(answers, undisturbed)
        assert [error.reason for error in errors] == ([reason] if reason else [])
        assert "fails on purpose" in life.log_text()


@pytest.mark.parametrize("plan", ["spool.sync=EIO@4", "results.save=ENOSPC@1"])
def test_our_client_tries_again_by_itself(
    repository: Path, tmp_path: Path, undisturbed: Answers, plan: str
) -> None:
    slices = [Made(one.raw.sop_instance_uid, one) for one in raw_slices(_SLICES)]
    with (
        Life(tmp_path, repository, plan, storage=impatient(tmp_path)) as life,
        ScanClient(life.grpc) as client,
    ):
        *events, report = client.send(OutgoingScan(OPEN, slices))
    assert isinstance(report, types_pb2.Report)
    report.ClearField("timing")
    assert report == undisturbed.final_report
    (interrupted,) = (event for event in events if isinstance(event, Interrupted))
    assert str(tmp_path) not in str(interrupted.error)


def test_engines_that_always_fail_are_told_and_the_slices_kept(
    repository: Path, tmp_path: Path, undisturbed: Answers
) -> None:
    with Life(tmp_path, repository, "engine=fault@1+") as life:
        answers = send_scan(life.grpc, OPEN, raw_slices(_SLICES))
        assert error_of(answers).reason == "INFERENCE_FAILED"
    with Life(tmp_path, repository) as life:
        again = send_scan(life.grpc, OPEN, raw_slices(_SLICES))
    assert again.opened is not None
    assert {ack.sop_instance_uid for ack in answers.acks} <= {*again.opened.kept_sop_instance_uids}
    assert same(again, undisturbed)


def test_an_engine_that_hangs_is_told_by_health(repository: Path, tmp_path: Path) -> None:
    engine = {"repository": str(repository), "stall_s": 0.5}
    with Life(tmp_path, repository, "engine=hang@1", engine=engine) as life:
        call = Call(life.grpc, OPEN)
        call.send_slices(raw_slices(12))
        call.wait_for_answers(12)
        assert eventually(lambda: status(f"http://{life.http}/healthz") == 503)
        call.close()


def test_results_that_another_process_holds_for_a_moment(
    repository: Path, tmp_path: Path, undisturbed: Answers
) -> None:
    """A backup that locks the database for a while delays reports and loses none."""
    with Life(tmp_path, repository, storage={"state_dir": str(tmp_path), "busy_s": 3.0}) as life:
        with held(tmp_path):
            call = Call(life.grpc, OPEN)
            call.send_slices(raw_slices(_SLICES))
            call.end()
            call.wait_for_answers(_SLICES)
            time.sleep(1.0)
        assert same(call.result(), undisturbed)


def test_results_that_another_process_holds_for_long(
    repository: Path, tmp_path: Path, undisturbed: Answers
) -> None:
    """Callers are told; the report is there soon after the lock is gone, with no one's help."""
    with Life(tmp_path, repository, storage=impatient(tmp_path)) as life:
        with held(tmp_path):
            assert error_of(send_scan(life.grpc, OPEN, raw_slices(_SLICES))).retry_s == 1.0
            other = pb.OpenScan(series_instance_uid="1.2.4", station="CT1")
            answers = send_scan(life.grpc, other, raw_slices(12, 20.0, "1.2.4"))
            assert error_of(answers).reason == "RESULTS_NOT_KEPT"
            assert "sqlite" not in error_of(answers).message
            assert eventually(lambda: life.log_text().count("is not saved yet") > 7)
            assert not reported(life, OPEN.series_instance_uid)
        assert eventually(lambda: reported(life, OPEN.series_instance_uid), 5)
        assert eventually(lambda: reported(life, "1.2.4"), 5)
        assert same(send_scan(life.grpc, OPEN, []), undisturbed)


def test_a_report_that_finds_the_disk_full_for_long(
    repository: Path, tmp_path: Path, undisturbed: Answers
) -> None:
    plan = "results.save=ENOSPC@1-4"
    with Life(tmp_path, repository, plan, storage=impatient(tmp_path)) as life:
        assert error_of(send_scan(life.grpc, OPEN, raw_slices(_SLICES))).reason == (
            "RESULTS_NOT_KEPT"
        )
        assert eventually(lambda: reported(life, OPEN.series_instance_uid))
        assert same(send_scan(life.grpc, OPEN, []), undisturbed)


def test_a_caller_that_waits_for_a_report_gets_it_when_it_is_kept(
    repository: Path, tmp_path: Path, undisturbed: Answers
) -> None:
    storage = impatient(tmp_path, retry_s=0.5)
    with Life(tmp_path, repository, "results.save=ENOSPC@1", storage=storage) as life:
        send_scan(life.grpc, OPEN, raw_slices(_SLICES))
        again = Call(life.grpc, OPEN)
        assert same(again.result(), undisturbed)
        assert again.answers.opened is not None
        assert again.answers.opened.state == types_pb2.SCAN_STATE_COMPLETING


def test_a_full_disk_when_a_scan_ends_is_waited_for(repository: Path, tmp_path: Path) -> None:
    """The end cannot be kept, nor a scan that is gone be closed: it is tried until it can."""
    plan, settings = "spool.write=ENOSPC@14-18", {"abandon_s": 0.1}
    with Life(tmp_path, repository, plan, storage=impatient(tmp_path), scan=settings) as life:
        call = Call(life.grpc, OPEN)
        for count, one in enumerate(raw_slices(12, 20.0), start=1):  # each written by itself
            call.send_slices([one])
            call.wait_for_answers(count)
        call.end()
        assert error_of(call.result()).reason == "NOT_KEPT"
        assert eventually(lambda: reported(life, OPEN.series_instance_uid))
        assert send_scan(life.grpc, OPEN, []).final_report.slices == 12


@contextmanager
def held(state: Path) -> Iterator[None]:
    """Another process holds the results."""
    other = sqlite3.connect(state / "results.sqlite", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    yield
    other.execute("ROLLBACK")
    other.close()


def impatient(state: Path, retry_s: float = 0.05) -> dict[str, object]:
    """Storage that is given up, and asked again, soon."""
    return {"state_dir": str(state), "busy_s": 0.05, "retry_s": retry_s}


def reported(life: Life, series: str) -> bool:
    with ScanClient(life.grpc) as client:
        try:
            client.report(series)
        except ClientError as error:
            if error.reason == "NOT_REPORTED":
                return False
            raise
        return True


@pytest.mark.parametrize("place", [0, 5000])
def test_damaged_results_are_set_aside_and_made_anew(
    repository: Path, tmp_path: Path, undisturbed: Answers, place: int
) -> None:
    with Life(tmp_path, repository) as life:
        send_scan(life.grpc, OPEN, raw_slices(_SLICES))
        assert life.stop() == 0
    with (tmp_path / "results.sqlite").open("r+b") as file:
        file.seek(place)
        file.write(b"\xff" * 3000)
    with Life(tmp_path, repository) as life:
        again = send_scan(life.grpc, OPEN, raw_slices(_SLICES))
        assert same(again, undisturbed)
        assert "is damaged" in life.log_text()
    assert (tmp_path / "results.sqlite.damaged-1").exists()


def test_results_that_a_disk_damaged_while_nothing_ran(
    repository: Path, tmp_path: Path, undisturbed: Answers
) -> None:
    """Nothing tells before the file is read: health says so then, and the next start mends it."""
    path = tmp_path / "results.sqlite"
    with Life(tmp_path, repository) as life:
        send_scan(life.grpc, OPEN, raw_slices(_SLICES))
        assert life.stop() == 0
    left, masks = path.stat(), path.stat().st_size // 2
    with path.open("r+b") as file:
        file.seek(masks)
        file.write(b"\xff" * 8192)
    os.utime(path, ns=(left.st_atime_ns, left.st_mtime_ns))
    with Life(tmp_path, repository) as life:
        assert eventually(lambda: status(f"http://{life.http}/healthz") == 503)
    with Life(tmp_path, repository) as life:
        assert same(send_scan(life.grpc, OPEN, raw_slices(_SLICES)), undisturbed)
        assert status(f"http://{life.http}/healthz") == 200
    assert (tmp_path / "results.sqlite.damaged-1").exists()


def test_a_truncated_model_is_named(repository: Path, tmp_path: Path) -> None:
    broken = tmp_path / "repository"
    shutil.copytree(repository, broken)
    model = next(broken.glob("lesion*/*/model.onnx"))
    os.truncate(model, model.stat().st_size // 2)
    life = Life(tmp_path / "state", broken)
    assert not life.ready()
    assert life.kill() == 1
    assert str(model) in life.log_text()


@pytest.mark.parametrize("step_s", [-86400.0, 86400.0, -3600.0])
def test_a_clock_that_jumps(
    repository: Path, tmp_path: Path, undisturbed: Answers, step_s: float
) -> None:
    """Waits, retention and reports do not depend on the wall clock."""
    with Life(tmp_path, repository, clock_step_s=step_s) as life:
        assert same(send_scan(life.grpc, OPEN, raw_slices(_SLICES)), undisturbed)
        other = pb.OpenScan(series_instance_uid="1.2.4", station="CT1")
        assert send_scan(life.grpc, other, raw_slices(12, 20.0, "1.2.4")).report is not None
        again = send_scan(life.grpc, OPEN, [])
        assert again.final_report == undisturbed.final_report


@pytest.mark.parametrize("ahead_s", [(0.0, 31 * 86400.0), (-20 * 365 * 86400.0, 0.0)])
def test_a_clock_that_is_wrong_from_the_start_makes_nothing_old(
    repository: Path, tmp_path: Path, undisturbed: Answers, ahead_s: tuple[float, ...]
) -> None:
    """A month ahead for one start, a battery that failed: report and slices are kept."""
    own_s = -1.0
    for number, ahead in enumerate(ahead_s):
        with Life(tmp_path, repository, clock_ahead_s=ahead) as life:
            answers = send_scan(life.grpc, OPEN, [] if number else raw_slices(_SLICES))
            assert answers.final_report == undisturbed.final_report
            assert eventually(lambda since=own_s: box_time(tmp_path) > since)
            time.sleep(0.3)  # for what would be forgotten after that
            assert send_scan(life.grpc, OPEN, []).final_report == undisturbed.final_report
        assert [path.name for path in (tmp_path / "spool").iterdir()] == [scan_id_of("1.2.3")]
        own_s = box_time(tmp_path)


def box_time(state: Path) -> float:
    """The box's own time when the daemon last looked at what it keeps; -1 before."""
    with closing(sqlite3.connect(state / "results.sqlite")) as connection:
        found = connection.execute("SELECT now_s FROM box_time").fetchone()
    return float(found[0]) if found else -1.0


def test_memory_that_is_refused_costs_nothing_acknowledged(
    repository: Path, tmp_path: Path, undisturbed: Answers
) -> None:
    """With hardly any memory left the daemon may refuse or die, but keeps what it acknowledged."""
    with Life(tmp_path, repository) as life:
        pid = life.process.pid
        call = Call(life.grpc, OPEN)
        call.send_slices(raw_slices(_SLICES)[:8])
        call.wait_for_answers(8)
        used = int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()
        resource.prlimit(pid, resource.RLIMIT_AS, (used, resource.RLIM_INFINITY))
        call.send_slices([big(number) for number in range(100, 104)])
        call.send_slices(raw_slices(_SLICES)[8:])
        deadline = time.monotonic() + 10
        while life.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        if life.process.poll() is None:
            unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            resource.prlimit(pid, resource.RLIMIT_AS, unlimited)
        call.close()
        acknowledged = {ack.sop_instance_uid for ack in call.answers.acks}
    with Life(tmp_path, repository) as life:
        answers = send_scan(life.grpc, OPEN, raw_slices(_SLICES))
    assert answers.opened is not None
    assert acknowledged <= {*answers.opened.kept_sop_instance_uids}
    assert same(answers, undisturbed)


def big(number: int) -> pb.Slice:
    """A slice of another size than its scan's: refused, once it is read."""
    side = 2048
    (slice_,) = raw_slices(1)
    slice_.sequence, slice_.raw.sop_instance_uid = number, f"9.{number}"
    slice_.raw.rows = slice_.raw.columns = side
    slice_.raw.pixels = bytes(2 * side * side)
    return slice_


def test_a_hundred_scans_in_the_spool(repository: Path, tmp_path: Path) -> None:
    """The restart serves soon, and every scan is taken up and reported."""
    uids = [f"1.2.{number}" for number in range(1000, 1100)]
    with Spool(tmp_path) as spool:
        for uid in uids:
            opening = pb.OpenScan(series_instance_uid=uid, station="CT1").SerializeToString()
            records = [Record(RecordKind.OPEN, "", opening)]
            records += [
                Record(RecordKind.SLICE, item.raw.sop_instance_uid, item.SerializeToString())
                for item in raw_slices(12, 20.0, uid)
            ]
            records.append(Record(RecordKind.END, "end", b""))
            kept = [spool.submit(scan_id_of(uid), record) for record in records]
            for future in kept:
                future.result(30)
    started = time.monotonic()
    with Life(tmp_path, repository) as life:
        assert time.monotonic() - started < 60  # the figure is measured apart
        with grpc.insecure_channel(life.grpc) as channel:
            stub = triage_pb2_grpc.TriageServiceStub(channel)

            def reported() -> int:
                scans = stub.ListScans(triage_pb2.ListScansRequest(page_size=1000)).scans
                return sum(scan.state == types_pb2.SCAN_STATE_REPORTED for scan in scans)

            assert eventually(lambda: reported() == len(uids), 100)


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            code: int = answer.status
            return code
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def eventually(true: Callable[[], bool], within_s: float = 30) -> bool:
    deadline = time.monotonic() + within_s
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
