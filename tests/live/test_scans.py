"""Opening scans while the spool is looked through, with real rooms around them."""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from appliance.access.audit import AuditTrail
from appliance.config import AuditConfig, StorageConfig
from appliance.followup.follow_ups import FollowUps
from appliance.followup.patients import PatientKeys
from appliance.inference.editions import NO_MODELS, Edition
from appliance.inference.loader import EngineLoader
from appliance.inference.planes import PlaneStore
from appliance.inference.pool import DevicePool
from appliance.inference.queue import InferenceQueue
from appliance.inference.tasks import TaskQueue
from appliance.ingest import IngestLimits
from appliance.live.board import Board
from appliance.live.errors import ScanError, internal
from appliance.live.housekeeping import keep_house
from appliance.live.models import ServedModels
from appliance.live.reading import SliceReader
from appliance.live.retention import Retention
from appliance.live.retries import MOST_FAILURES, Retries
from appliance.live.scans import LiveScans, scan_id_of
from appliance.live.services import Services
from appliance.live.session import LiveScan
from appliance.metrics import Metrics
from appliance.scan.events import CompletedBy
from appliance.scan.scan import ScanPolicy
from appliance.storage.choices import CHOICES_NAME
from appliance.storage.errors import ResultsUnavailableError, SpoolReadError, SpoolWriteError
from appliance.storage.record import Record, RecordKind
from appliance.storage.results import ResultsStore
from appliance.storage.spool import Spool
from breathhold.v1 import scan_pb2 as pb
from breathhold.v1 import triage_pb2, types_pb2
from engines.models import load_repository
from tests.tiny_models import write_tiny_repository

OPEN = pb.OpenScan(series_instance_uid="1.2.3", station="CT1")
Ends = Callable[[LiveScans, pytest.MonkeyPatch], Awaitable[None]]
SCAN_ID = scan_id_of(OPEN.series_instance_uid)


@asynccontextmanager
async def live_scans(state: Path, edition: Edition = NO_MODELS) -> AsyncIterator[LiveScans]:
    spool, results = Spool(state), ResultsStore(state / "results.sqlite")
    with ThreadPoolExecutor(1) as decoders:
        queue: TaskQueue = InferenceQueue()
        devices, loader = DevicePool([], None, queue, edition), EngineLoader()
        services = Services(
            spool=spool,
            results=results,
            follow_ups=FollowUps(results, PatientKeys(bytes(32))),
            queue=queue,
            devices=devices,
            models=ServedModels(state, state / CHOICES_NAME, {}, devices.shelf, loader),
            planes=PlaneStore(lambda scan_id, uid: scans.pixels(scan_id, uid)),
            decoders=decoders,
            board=Board(),
            metrics=Metrics(),
            trail=AuditTrail(state / "audit", AuditConfig()),
            policy=ScanPolicy(shapes={}),
            reader=SliceReader(IngestLimits(), Metrics()),
        )
        scans = LiveScans(services, max_open_scans=4)
        yield scans
        await scans.close(grace_s=1)
    loader.close()
    spool.close()
    results.close()


@pytest.mark.timeout(60)
def test_a_caller_that_comes_the_moment_an_empty_log_was_looked_at(tmp_path: Path) -> None:
    """Looking at what a crash left finds no scan; the caller must get a new one, at once."""
    log = tmp_path / "spool" / SCAN_ID / "scan.log"
    log.parent.mkdir(parents=True)
    log.touch()

    async def open_when_looked_at() -> LiveScan | None:
        async with live_scans(tmp_path) as scans:
            taking_up = asyncio.create_task(scans.take_up())
            while not scans._loading:
                await asyncio.sleep(0)
            looking = scans._loading[SCAN_ID]
            while not looking.done():
                await asyncio.sleep(0)
            opened = await scans.open(OPEN)
            await taking_up
            assert isinstance(opened, LiveScan)
            return opened if opened in scans.in_progress else None

    assert asyncio.run(open_when_looked_at())


def test_callers_that_come_together_share_one_scan(tmp_path: Path) -> None:
    async def open_thrice() -> int:
        async with live_scans(tmp_path) as scans:
            opened = await asyncio.gather(*(scans.open(OPEN) for _ in range(3)))
            return len({id(live) for live in opened})

    assert asyncio.run(open_thrice()) == 1


def test_one_scan_that_cannot_be_taken_up_holds_no_other_back(tmp_path: Path) -> None:
    ids = sorted(scan_id_of(uid) for uid in ("1.2.3", "1.2.4"))

    async def taken_up() -> list[str]:
        async with live_scans(tmp_path) as scans:
            for scan_id, content in zip(ids, (b"\xff", OPEN.SerializeToString()), strict=True):
                record = Record(RecordKind.OPEN, "", content)
                await scans._services.spool.append(scan_id, record)
            await scans.take_up()
            return [live.scan_id for live in scans.in_progress]

    assert asyncio.run(taken_up()) == ids[1:]


async def opened(scans: LiveScans, caller: str = "") -> LiveScan:
    live = await scans.open(copy(OPEN, caller))
    assert isinstance(live, LiveScan)
    return live


async def broken_off(scans: LiveScans, monkeypatch: pytest.MonkeyPatch) -> None:
    (await opened(scans)).fail(internal(RuntimeError()))


async def abandoned(scans: LiveScans, monkeypatch: object = None, caller: str = "") -> None:
    live = await opened(scans, caller)
    await live.complete(CompletedBy.ABANDONED)
    await live.ended.wait()
    assert live.report


async def not_kept(scans: LiveScans, monkeypatch: pytest.MonkeyPatch) -> None:
    async def append(scan_id: str, record: Record) -> None:
        raise SpoolWriteError("the log", OSError(errno.ENOSPC, ""))

    monkeypatch.setattr(scans._services.spool, "append", append)
    with pytest.raises(ScanError, match="ENOSPC"):
        await scans.open(OPEN)


async def not_taken_up(scans: LiveScans, monkeypatch: pytest.MonkeyPatch) -> None:
    async def replay(live: LiveScan, refs: object, *, reopened: bool) -> None:
        raise SpoolReadError("the log", OSError(errno.EIO, ""))

    record = Record(RecordKind.OPEN, "", OPEN.SerializeToString())
    await scans._services.spool.append(SCAN_ID, record)
    monkeypatch.setattr(LiveScan, "replay", replay)
    with pytest.raises(ScanError, match="EIO"):
        await scans.open(OPEN)


async def taken_over(scans: LiveScans, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        (await opened(scans)).attach()
    await broken_off(scans, monkeypatch)


@pytest.mark.parametrize("how", [broken_off, abandoned, not_kept, not_taken_up, taken_over])
def test_however_a_scan_ends_it_lets_go_of_its_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: Ends
) -> None:
    edition = Edition.of(load_repository(write_tiny_repository(tmp_path / "models")))

    async def holders() -> int:
        async with live_scans(tmp_path, edition) as scans:
            await how(scans, monkeypatch)
            while scans._tasks:
                await asyncio.wait(scans._tasks)
            return scans._services.devices.shelf._holders[edition]

    assert asyncio.run(holders()) == 1


def copy(opening: pb.OpenScan, caller: str) -> pb.OpenScan:
    named = pb.OpenScan(caller=caller)
    named.MergeFrom(opening)
    return named


@pytest.mark.parametrize("reported", [True, False])
def test_another_callers_scan_is_refused_and_left_as_it_is(tmp_path: Path, reported: bool) -> None:
    """Whether it was reported for want of slices, or lies in the spool since an earlier run."""
    edition = Edition.of(load_repository(write_tiny_repository(tmp_path / "models")))
    log = tmp_path / "spool" / SCAN_ID / "scan.log"

    async def refused() -> None:
        async with live_scans(tmp_path, edition) as scans:
            await scans.open(copy(OPEN, "CT1"))
            if reported:
                await abandoned(scans, caller="CT1")
        async with live_scans(tmp_path, edition) as scans:
            await scans.show_finished()
            results, board = scans._services.results, scans._services.board
            before = log.read_bytes(), results.report(SCAN_ID), board.summaries()
            with pytest.raises(ScanError, match="Another caller"):
                await scans.open(copy(OPEN, "CT2"))
            assert not scans._live
            assert (log.read_bytes(), results.report(SCAN_ID), board.summaries()) == before
            assert (before[1] is not None) == reported
            assert isinstance(await scans.open(copy(OPEN, "CT1")), LiveScan)

    asyncio.run(refused())


def test_a_silent_scan_whose_report_is_not_taken_goes_on_when_its_caller_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise ResultsUnavailableError("the disk is full")

    edition = Edition.of(load_repository(write_tiny_repository(tmp_path / "models")))

    async def go_on() -> bool:
        async with live_scans(tmp_path, edition) as scans:
            monkeypatch.setattr(scans._services.results, "save_report", full)
            before = await opened(scans)
            await before.complete(CompletedBy.ABANDONED)
            while not before._unsaved:
                await asyncio.sleep(0.01)
            after = await asyncio.wait_for(opened(scans), 10)
            assert before.error
            assert before.error.reason == "RESULTS_NOT_KEPT"
            return after is not before and after.state == types_pb2.SCAN_STATE_RECEIVING

    assert asyncio.run(go_on())


def test_a_scan_that_fails_by_its_own_fault_is_given_up_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tries = 0

    async def replay(live: LiveScan, refs: object, *, reopened: bool) -> None:
        nonlocal tries
        tries += 1
        if tries < 20:
            raise SpoolReadError("the log", OSError(errno.EIO, ""))
        raise RuntimeError

    async def take_up_often() -> None:
        async with live_scans(tmp_path) as scans:
            record = Record(RecordKind.OPEN, "", OPEN.SerializeToString())
            await scans._services.spool.append(SCAN_ID, record)
            for _ in range(40):
                scans._retries._due.clear()
                await scans.take_up()
                while scans._tasks:
                    await asyncio.wait(scans._tasks)

    monkeypatch.setattr(LiveScan, "replay", replay)
    asyncio.run(take_up_often())
    assert tries == 19 + MOST_FAILURES
    assert caplog.text.count("is not taken up by itself any more") == 1


def test_storage_that_fails_is_asked_again_soon_and_then_ever_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    retries, waited = Retries(first_pause_s=5.0), []
    for _ in range(6):
        retries.failed("ab", SpoolReadError("the log", OSError(errno.EIO, "")))
        assert not retries.may("ab")
        assert not retries.due()
        since = now
        while not retries.may("ab"):
            now += 1
        assert retries.due() == ["ab"]
        waited.append(now - since)
    assert waited == [5, 10, 20, 40, 60, 60]
    retries.forget("ab")
    assert retries.may("ab")
    assert not retries.due()


def test_housekeeping_outlives_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class TakeUpError(Exception):
        """Nobody thought of it."""

    rounds = 0

    async def until_the_third_round() -> None:
        thrice = asyncio.Event()

        async def take_up() -> None:
            nonlocal rounds
            rounds += 1
            if rounds == 3:
                thrice.set()
            raise TakeUpError

        async with live_scans(tmp_path) as scans:
            monkeypatch.setattr(scans, "take_up", take_up)
            config = StorageConfig(state_dir=tmp_path)
            keeping = asyncio.create_task(keep_house(scans, scans._services, config, 0.01))
            await asyncio.wait_for(thrice.wait(), 30)
            keeping.cancel()

    asyncio.run(until_the_third_round())


def test_housekeeping_forgets_slices_first_and_then_the_report(tmp_path: Path) -> None:
    """By the box's own time; the disk was never full."""
    elapsed = [1000.0]
    scan = {"scan_id": SCAN_ID, "series_instance_uid": OPEN.series_instance_uid}

    async def go_on() -> list[tuple[bool, bool]]:
        found = []
        async with live_scans(tmp_path) as scans:
            services = scans._services
            results, spool = services.results, services.spool
            await spool.append(SCAN_ID, Record(RecordKind.OPEN, "", OPEN.SerializeToString()))
            report = types_pb2.Report(**scan, completed_by=types_pb2.COMPLETED_BY_END)
            results.save_report(report, [], triage_pb2.ScanSummary(**scan))
            await scans.show_finished()
            retention = Retention(results, lambda: 0.0, lambda: elapsed[0])
            config = StorageConfig(state_dir=tmp_path, tight_mib=0, full_mib=0)
            keeping = asyncio.create_task(
                keep_house(scans, services, config, 0.01, retention=retention)
            )
            for days in (1, 29, 0):
                await asyncio.sleep(0.3)
                found.append((SCAN_ID in spool.scans(), bool(results.report(SCAN_ID))))
                assert bool(services.board.summaries()) == found[-1][1]
                elapsed[0] += 86400.0 * days + 1
            keeping.cancel()
        return found

    assert asyncio.run(go_on()) == [(True, True), (False, True), (False, False)]
