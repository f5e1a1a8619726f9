"""All scans in progress: opened, taken up again, watched for silence, and let go."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from appliance.config import ScanConfig, StorageConfig
from appliance.inference.worker import Outcome
from appliance.live.errors import (
    CallStatus,
    ScanError,
    busy,
    not_kept,
    shutting_down,
    too_many_scans,
)
from appliance.live.services import Services
from appliance.live.session import LiveScan
from appliance.scan.events import CompletedBy
from appliance.scan.slice import Slice
from appliance.storage.errors import (
    SpoolCorruptError,
    SpoolError,
    SpoolUnknownScanError,
    StorageError,
)
from appliance.storage.record import Record, RecordKind, RecordRef
from breathhold.v1 import scan_pb2 as pb
from breathhold.v1 import triage_pb2, types_pb2

logger = logging.getLogger(__name__)

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_UID_LENGTH = 64
_FINAL = (types_pb2.COMPLETED_BY_END, types_pb2.COMPLETED_BY_COUNT)


@dataclass(frozen=True, slots=True)
class FinishedScan:
    """A scan that was finished before it was opened again."""

    scan_id: str
    report: types_pb2.Report


def scan_id_of(series_instance_uid: str) -> str:
    """The appliance's id of a series: the same whenever it is opened."""
    return hashlib.sha256(series_instance_uid.encode()).hexdigest()[:32]


class LiveScans:
    """Every scan in progress. Used from the event loop only, but for `pixels` and `deliver_from`.

    Parameters
    ----------
    services
        The rooms around the scans.
    scan_config, storage_config
        When a scan is silent for too long, and what is kept for how long.
    """

    def __init__(
        self, services: Services, scan_config: ScanConfig, storage_config: StorageConfig
    ) -> None:
        self._services = services
        self._config, self._storage = scan_config, storage_config
        self._live: dict[str, LiveScan] = {}
        self._loading: dict[str, asyncio.Task[LiveScan]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    @property
    def in_progress(self) -> list[LiveScan]:
        return list(self._live.values())

    # -- callers

    async def open(self, request: pb.OpenScan) -> LiveScan | FinishedScan:
        """The scan that a caller wants to send: new, in progress, taken up again, or finished.

        Raises
        ------
        ScanError
            INVALID_ARGUMENT, FAILED_PRECONDITION, RESOURCE_EXHAUSTED or UNAVAILABLE.
        """
        if self._closing:
            raise shutting_down()
        _check_uid(request.series_instance_uid)
        scan_id = scan_id_of(request.series_instance_uid)
        live = self._live.get(scan_id)
        if live is None and scan_id not in self._loading:
            report = await self._services.results.run(self._services.results.report, scan_id)
            if report is not None and not await self._may_go_on(report):
                return FinishedScan(scan_id, report)
        live = await self._load(scan_id, request)
        if live.fell_silent:
            await live.ended.wait()
            return await self.open(request)
        if live.outbox and live.opened.station != request.station:
            raise busy(live.opened.station)
        live.opened.send_masks = request.send_masks
        live.opened.priority = request.priority
        live.opened.station = request.station
        return live

    async def _may_go_on(self, report: types_pb2.Report) -> bool:
        """A scan that only fell silent goes on, as long as its slices are kept."""
        if report.completed_by in _FINAL:
            return False
        return report.scan_id in await asyncio.to_thread(self._services.spool.scans)

    async def _load(self, scan_id: str, request: pb.OpenScan | None) -> LiveScan:
        """The scan in progress; loaded once, however many ask for it meanwhile."""
        if scan_id in self._live and scan_id not in self._loading:
            return self._live[scan_id]
        if scan_id not in self._loading:
            if request is not None and len(self._live) >= self._config.max_open_scans:
                raise too_many_scans(self._config.max_open_scans)
            task = asyncio.create_task(self._load_once(scan_id, request))
            self._loading[scan_id] = task
            task.add_done_callback(lambda _: self._loading.pop(scan_id, None))
        return await asyncio.shield(self._loading[scan_id])

    async def _load_once(self, scan_id: str, request: pb.OpenScan | None) -> LiveScan:
        try:
            refs = await self._recovered(scan_id)
            if not refs:
                return await self._begin(scan_id, request)
            payload = await asyncio.to_thread(self._services.spool.read, refs[0])
        except SpoolError as error:
            raise not_kept(error) from error
        live = self._start(scan_id, pb.OpenScan.FromString(payload))
        await live.replay(refs, reopened=request is not None)
        return live

    async def _recovered(self, scan_id: str) -> tuple[RecordRef, ...]:
        try:
            recovered = await asyncio.to_thread(self._services.spool.recover, scan_id)
        except (SpoolUnknownScanError, SpoolCorruptError) as error:
            if isinstance(error, SpoolCorruptError):
                logger.error("%s", error)
            return ()
        return recovered.records

    async def _begin(self, scan_id: str, request: pb.OpenScan | None) -> LiveScan:
        opened = request or pb.OpenScan()
        record = Record(RecordKind.OPEN, "", opened.SerializeToString())
        await self._services.spool.append(scan_id, record)
        return self._start(scan_id, opened)

    def _start(self, scan_id: str, opened: pb.OpenScan) -> LiveScan:
        kept = pb.OpenScan()
        kept.CopyFrom(opened)
        live = LiveScan(scan_id, kept, self._services)
        self._live[scan_id] = live
        self._services.board.show(scan_id, live.summary)
        self._run(self._retire(live))
        return live

    async def _retire(self, live: LiveScan) -> None:
        """Once a scan has ended, free what it used; its line stays on the board."""
        await live.ended.wait()
        self._services.queue.forget(live.scan_id)
        self._services.planes.forget(live.scan_id)
        if self._live.get(live.scan_id) is live:
            del self._live[live.scan_id]
            last = live.summary()
            self._services.board.show(live.scan_id, lambda: last)

    # -- the inference thread

    def pixels(self, scan_id: str, sop_instance_uid: str) -> Slice:
        """Pixels that memory no longer holds. Blocks; safe to call from any thread."""
        return self._live[scan_id].pixels(sop_instance_uid)

    def deliver_from(self, loop: asyncio.AbstractEventLoop) -> Callable[[Outcome], None]:
        """What the inference thread calls with each outcome."""

        def deliver(outcome: Outcome) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._deliver, outcome)

        return deliver

    def _deliver(self, outcome: Outcome) -> None:
        live = self._live.get(outcome.job.scan_id)
        if live is not None:
            live.deliver(outcome)

    # -- the life of the daemon

    async def recover(self) -> None:
        """Show what was finished; go on in the background with what was not."""
        results = self._services.results
        page = await results.run(results.summaries, 1000)
        for summary in page.summaries:
            self._show_finished(summary)
        self._run(self._take_up(await asyncio.to_thread(self._services.spool.scans)))

    def _show_finished(self, summary: triage_pb2.ScanSummary) -> None:
        self._services.board.show(summary.scan_id, lambda: summary)

    async def _take_up(self, scan_ids: list[str]) -> None:
        """Go on with the scans that were not finished, one after the other."""
        for scan_id in scan_ids:
            try:
                if not await self._is_finished(scan_id):
                    await self._load(scan_id, None)
            except (ScanError, StorageError) as error:
                logger.error("scan %s cannot be taken up: %s", scan_id, error)

    async def _is_finished(self, scan_id: str) -> bool:
        """True when a report covers every kept slice; a silent scan may have more since."""
        report = await self._services.results.run(self._services.results.report, scan_id)
        if report is None:
            return False
        if report.completed_by in _FINAL:
            return True
        refs = await self._recovered(scan_id)
        return not refs or refs[-1].kind is RecordKind.END

    async def watch_silence(self) -> None:
        """End scans that fell silent, for as long as the daemon runs."""
        while True:
            await asyncio.sleep(min(1.0, self._config.quiet_s / 4, self._config.abandon_s / 4))
            for live in self.in_progress:
                await self._end_if_silent(live)

    async def _end_if_silent(self, live: LiveScan) -> None:
        if live.state != types_pb2.SCAN_STATE_RECEIVING or live.scan_id in self._loading:
            return
        silent_s = time.monotonic() - live.last_activity
        limit, by = (
            (self._config.quiet_s, CompletedBy.QUIET)
            if live.outbox
            else (self._config.abandon_s, CompletedBy.ABANDONED)
        )
        if silent_s >= limit:
            try:
                await live.complete(by)
            except ScanError as error:
                logger.error("scan %s could not be ended: %s", live.scan_id, error.reason)

    async def keep_house(self, interval_s: float = 60.0) -> None:
        """Forget what was kept long enough, for as long as the daemon runs."""
        while True:
            await self._forget_old()
            used = await asyncio.to_thread(self._services.spool.bytes_used)
            self._services.metrics.spool_bytes.set(used)
            await asyncio.sleep(interval_s)

    async def _forget_old(self) -> None:
        results, spool = self._services.results, self._services.spool
        now = time.time()
        for scan_id in await asyncio.to_thread(spool.scans):
            report = await results.run(results.report, scan_id)
            if report is None or scan_id in self._live or scan_id in self._loading:
                continue
            if now - report.timing.reported_unix_s > self._storage.keep_slices_hours * 3600:
                await asyncio.to_thread(spool.remove, scan_id)
        for summary in self._services.board.summaries():
            old = now - summary.updated_unix_s > self._storage.keep_results_days * 86400
            if old and not summary.running:
                await results.run(results.forget, summary.scan_id)
                self._services.board.remove(summary.scan_id)

    async def close(self, grace_s: float) -> None:
        """Let complete scans end, park the others, tell every caller."""
        self._closing = True
        for live in self.in_progress:
            if live.state == types_pb2.SCAN_STATE_RECEIVING and live.outbox:
                live.outbox.close(shutting_down())
        completing = [
            asyncio.create_task(live.ended.wait())
            for live in self.in_progress
            if live.state == types_pb2.SCAN_STATE_COMPLETING
        ]
        if completing:
            await asyncio.wait(completing, timeout=grace_s)
        for live in self.in_progress:
            if live.outbox:
                live.outbox.close(shutting_down())
        for task in (*self._tasks, *self._loading.values(), *completing):
            task.cancel()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _check_uid(uid: str) -> None:
    """Raise when a series UID is none (DICOM PS3.5 section 9)."""
    if len(uid) > _UID_LENGTH or not _UID.fullmatch(uid):
        raise ScanError(
            CallStatus.INVALID_ARGUMENT,
            "MALFORMED_UID",
            "OpenScan needs a Series Instance UID: digits and dots, at most 64 characters.",
        )
