"""All scans in progress: opened, taken up again, and let go."""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import itertools
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from appliance.inference.editions import Edition
from appliance.inference.planes import ForgottenSliceError
from appliance.inference.tasks import TaskOutcome
from appliance.ingest.errors import ReadersUnavailableError
from appliance.live import wire
from appliance.live.errors import (
    ScanError,
    busy,
    disk_full,
    internal,
    not_kept,
    not_yours,
    readers_unavailable,
    shutting_down,
    too_many_scans,
)
from appliance.live.kept_scans import KeptScans
from appliance.live.opening import check_opening
from appliance.live.retries import Retries
from appliance.live.saving import FIRST_PAUSE_S
from appliance.live.services import Services
from appliance.live.session import LiveScan
from appliance.scan.slice import Slice
from appliance.scan.verdicts import Notice
from appliance.storage.errors import (
    SpoolError,
    StorageError,
)
from appliance.storage.record import Record, RecordKind
from breathhold.v1 import scan_pb2 as pb
from breathhold.v1 import triage_pb2, types_pb2

logger = logging.getLogger(__name__)

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class FinishedScan:
    """A scan that was finished before it was opened again."""

    scan_id: str
    report: types_pb2.Report


def scan_id_of(series_instance_uid: str) -> str:
    """The appliance's id of a series: the same whenever it is opened."""
    return hashlib.sha256(series_instance_uid.encode()).hexdigest()[:32]


class LiveScans:
    """Every scan in progress. Used from the event loop only, but for `pixels`.

    Parameters
    ----------
    services
        The rooms around the scans.
    max_open_scans
        More scans in progress are refused.
    full_bytes
        With less free on the spool's disk new scans are refused.
    retry_s
        What storage failed on is tried again after this, each time after twice as long, s.
    """

    def __init__(
        self,
        services: Services,
        max_open_scans: int,
        full_bytes: int = 0,
        retry_s: float = FIRST_PAUSE_S,
    ) -> None:
        self._services, self._max_open_scans = services, max_open_scans
        self._full_bytes = full_bytes
        self._live: dict[str, LiveScan] = {}
        self._loading: dict[str, asyncio.Task[LiveScan | None]] = {}
        self._removing: dict[str, asyncio.Event] = {}
        self._kept, self._retries = KeptScans(services), Retries(retry_s)
        self._generations = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    @property
    def in_progress(self) -> list[LiveScan]:
        """Scans that are wholly loaded and not yet let go."""
        return [live for live in self._live.values() if live.scan_id not in self._loading]

    # -- callers

    async def open(self, request: pb.OpenScan) -> LiveScan | FinishedScan:
        """The scan that a caller wants to send: new, in progress, taken up again, or finished.

        Raises
        ------
        ScanError
            INVALID_ARGUMENT, FAILED_PRECONDITION, RESOURCE_EXHAUSTED or UNAVAILABLE.
        """
        check_opening(request)
        scan_id = scan_id_of(request.series_instance_uid)
        while True:
            if self._closing:
                raise shutting_down()
            if await self._owner(scan_id) not in ("", request.caller):
                raise not_yours()
            found = await self._find(scan_id, request)
            if found is None:
                continue
            if isinstance(found, FinishedScan):
                return found
            if found.opened.caller not in ("", request.caller):  # opened it meanwhile
                raise not_yours()
            if not (found.fell_silent or found.ended.is_set()):
                break
            found.called_back()
            await found.retired.wait()
        if found.outbox and found.opened.station != request.station:
            raise busy(found.opened.station)
        found.opened.send_masks = request.send_masks
        found.opened.station = request.station
        found.opened.priority = wire.urgency(request.priority)
        return found

    async def _owner(self, scan_id: str) -> str:
        """Who sends or sent a scan; empty when nobody knows."""
        live = self._live.get(scan_id)
        return live.opened.caller if live else await self._kept.owner(scan_id)

    async def _find(self, scan_id: str, request: pb.OpenScan) -> LiveScan | FinishedScan | None:
        """The scan; None when it was being looked for in the spool and was not there."""
        if removing := self._removing.get(scan_id):
            await removing.wait()
        if scan_id not in self._live and scan_id not in self._loading:
            report = await self._kept.report(scan_id)
            if report is not None and not await self._kept.may_go_on(report):
                return FinishedScan(scan_id, report)
        return await self._load(scan_id, request)

    # -- loading

    async def _load(self, scan_id: str, request: pb.OpenScan | None) -> LiveScan | None:
        """The scan in progress; loaded once, however many ask for it meanwhile."""
        if scan_id in self._live and scan_id not in self._loading:
            return self._live[scan_id]
        if scan_id not in self._loading:
            open_scans = len(self._live.keys() | self._loading.keys())
            if request is not None and open_scans >= self._max_open_scans:
                raise too_many_scans(self._max_open_scans)
            self._loading[scan_id] = asyncio.create_task(self._load_once(scan_id, request))
        return await asyncio.shield(self._loading[scan_id])

    async def _load_once(self, scan_id: str, request: pb.OpenScan | None) -> LiveScan | None:
        """Load a scan; whoever asks once this is done asks anew, and is not told its answer."""
        try:
            return await self._from_spool_or_new(scan_id, request)
        except Exception as error:
            if request is None and scan_id not in self._live:  # else it says so when it ends
                self._retries.failed(scan_id, error)
            raise
        finally:
            del self._loading[scan_id]

    async def _from_spool_or_new(
        self, scan_id: str, request: pb.OpenScan | None
    ) -> LiveScan | None:
        """A scan from the spool; else a new one, when somebody opens it."""
        try:
            refs, opened = await self._kept.recovered(scan_id)
            if opened is None:
                return await self._begin(scan_id, request) if request else None
            losses = await self._kept.losses(scan_id)
        except SpoolError as error:
            raise not_kept(error) from error
        edition, notice = await self._services.models.edition_of(opened.models)
        notices = [notice, *losses] if notice else losses
        live = self._start(scan_id, opened, edition, notices)
        try:
            await live.replay(refs, reopened=request is not None)
        except SpoolError as error:
            raise live.fail(not_kept(error)) from error
        except ReadersUnavailableError as error:
            raise live.fail(readers_unavailable(error)) from error
        except Exception as error:
            logger.exception("scan %s could not be taken up", scan_id)
            raise live.fail(internal(error)) from error
        return live

    async def _begin(self, scan_id: str, request: pb.OpenScan) -> LiveScan:
        free = await self._services.spool.run(self._services.spool.free_bytes)
        if free < self._full_bytes:
            raise disk_full(free)
        shelf = self._services.devices.shelf
        edition = shelf.hold()
        opened = _copy(request)
        del opened.models[:]
        engines = shelf.serving_of(edition).engines.values()
        opened.models.extend(map(wire.model_reference, engines))
        try:
            record = Record(RecordKind.OPEN, "", opened.SerializeToString())
            await self._services.spool.append(scan_id, record)
            losses = await self._kept.losses(scan_id)
        except BaseException:
            shelf.let_go(edition)
            raise
        return self._start(scan_id, opened, edition, losses)

    def _start(
        self, scan_id: str, opened: pb.OpenScan, edition: Edition, notices: Sequence[Notice]
    ) -> LiveScan:
        kept = _copy(opened)
        kept.priority = wire.urgency(opened.priority)
        generation = next(self._generations)
        live = LiveScan(scan_id, kept, self._services, edition, generation, notices)
        self._live[scan_id] = live
        self._services.board.show(scan_id, live.summary)
        task = asyncio.create_task(self._retire(live))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return live

    async def _retire(self, live: LiveScan) -> None:
        """Once a scan has ended, free what it used; its line stays on the board."""
        await live.ended.wait()
        self._services.queue.forget(live.scan_id)
        self._services.planes.forget(live.scan_id)
        del self._live[live.scan_id]
        if live.error:
            self._retries.failed(live.scan_id, live.error)
        else:
            self._retries.forget(live.scan_id)
        try:
            self._services.board.show_ended(live.summary())
        except Exception:
            logger.exception("the last line of scan %s could not be written", live.scan_id)
        live.retired.set()
        await asyncio.to_thread(live.let_go)

    # -- the inference thread

    def pixels(self, scan_id: str, sop_instance_uid: str) -> Slice:
        """Pixels that memory no longer holds. Blocks; safe to call from any thread.

        Raises
        ------
        ForgottenSliceError
            When the scan was let go.
        """
        live = self._live.get(scan_id)
        if live is None:
            raise ForgottenSliceError
        return live.pixels(sop_instance_uid)

    def deliver_from(self, loop: asyncio.AbstractEventLoop) -> Callable[[TaskOutcome], None]:
        """What the inference thread calls with each outcome."""

        def deliver(outcome: TaskOutcome) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._deliver, outcome)

        return deliver

    def _deliver(self, outcome: TaskOutcome) -> None:
        live = self._live.get(outcome.job.scan_id)
        if live is not None:
            live.deliver(outcome)

    # -- the life of the daemon

    async def show_finished(self) -> None:
        """Put what earlier runs reported on the board, as far as it has room for it."""
        token, board = "", self._services.board
        newest: list[triage_pb2.ScanSummary] = []
        while True:
            page = await self._services.results.run(self._services.results.summaries, _PAGE, token)
            newest = heapq.nlargest(
                board.most_ended, [*newest, *page.summaries], key=lambda one: one.updated_unix_s
            )
            token = page.next_token
            if not token:
                break
        for summary in reversed(newest):
            if summary.scan_id not in board:
                board.show_ended(summary)

    async def take_up(self) -> None:
        """Go on with the scans that the spool holds and that were not finished, one by one."""
        for scan_id in await self._services.spool.run(self._services.spool.scans):
            await self._take_up(scan_id)

    async def take_up_due(self) -> None:
        """Go on with the scans that storage failed on, as far as their time has come."""
        for scan_id in self._retries.due():
            await self._take_up(scan_id)

    async def _take_up(self, scan_id: str) -> None:
        if scan_id in self._live or not self._retries.may(scan_id):
            return
        try:
            if await self._kept.is_finished(scan_id) or await self._load(scan_id, None) is None:
                self._retries.forget(scan_id)
        except (ScanError, StorageError) as error:
            logger.error("scan %s cannot be taken up: %s", scan_id, error)
        except Exception:
            logger.exception("scan %s cannot be taken up", scan_id)

    async def remove_slices(self, scan_id: str) -> None:
        """Forget the slices of a scan that is not in progress."""
        if scan_id in self._live or scan_id in self._loading:
            return
        done = self._removing[scan_id] = asyncio.Event()
        try:
            await self._services.spool.run(self._services.spool.remove, scan_id)
            self._retries.forget(scan_id)
        finally:
            del self._removing[scan_id]
            done.set()

    async def close(self, grace_s: float) -> None:
        """Let complete scans end, park the others, tell every caller."""
        self._closing = True
        for live in self._live.values():
            if live.state == types_pb2.SCAN_STATE_RECEIVING and live.outbox:
                live.outbox.close(shutting_down())
        completing = [
            asyncio.create_task(live.ended.wait())
            for live in self._live.values()
            if live.state == types_pb2.SCAN_STATE_COMPLETING
        ]
        if completing:
            await asyncio.wait(completing, timeout=grace_s)
        for live in self._live.values():
            if live.outbox:
                live.outbox.close(shutting_down())
        await _cancel([*self._tasks, *self._loading.values(), *completing])


async def _cancel(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _copy(opened: pb.OpenScan) -> pb.OpenScan:
    copy = pb.OpenScan()
    copy.CopyFrom(opened)
    return copy
