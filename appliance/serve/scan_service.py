"""ScanService: where consoles send slices and read scores."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from functools import partial

import grpc

from appliance.access.roles import caller
from appliance.live.errors import (
    CallStatus,
    ScanError,
    internal,
    open_too_large,
    results_unavailable,
)
from appliance.live.intake import Intake
from appliance.live.outbox import Outbox
from appliance.live.scans import FinishedScan, LiveScans, scan_id_of
from appliance.live.session import LiveScan
from appliance.live.wire import forget_unknown_fields
from appliance.scan.events import CompletedBy
from appliance.serve.record import call_record
from appliance.serve.status import abort
from appliance.storage.errors import StorageError
from appliance.storage.results import ResultsStore
from breathhold.v1 import scan_pb2 as pb
from breathhold.v1 import scan_pb2_grpc

logger = logging.getLogger(__name__)

#: The largest OpenScan, of which a scan in progress keeps a copy; honest ones have some hundred.
_OPEN_BYTES = 64 * 1024

Requests = AsyncIterator[pb.StreamRequest]
Context = grpc.aio.ServicerContext[pb.StreamRequest, pb.StreamResponse]


class ScanService(scan_pb2_grpc.ScanServiceServicer):
    """One call, one scan.

    Parameters
    ----------
    scans
        The scans in progress.
    results
        Where finished scans are found.
    slices_in_flight
        Slices of one call that are worked on before more are read.
    intake
        Bytes of slices of all calls that are.
    """

    def __init__(
        self, scans: LiveScans, results: ResultsStore, slices_in_flight: int, intake: Intake
    ) -> None:
        self._scans, self._results = scans, results
        self._slices_in_flight, self._intake = slices_in_flight, intake
        self._in_hand: set[asyncio.Task[None]] = set()

    async def Stream(  # noqa: N802
        self, requests: Requests, context: Context
    ) -> AsyncIterator[pb.StreamResponse]:
        try:
            request = await _open_request(requests)
            request.caller = caller().name
            record = call_record()
            record.scan_id = scan_id_of(request.series_instance_uid)
            record.uids["study"] = request.study_instance_uid
            record.uids["series"] = request.series_instance_uid
            opened = await self._scans.open(request)
            if isinstance(opened, FinishedScan):
                async for response in self._finished(opened, request):
                    yield response
                return
            async for response in self._conduct(opened, requests):
                yield response
        except ScanError as error:
            await abort(context, error)
        except StorageError as error:
            await abort(context, results_unavailable(error))

    async def _finished(
        self, finished: FinishedScan, request: pb.OpenScan
    ) -> AsyncIterator[pb.StreamResponse]:
        """A scan that ended before: its masks when asked for, and its report."""
        masks = list(await self._results.run(self._results.masks, finished.scan_id))
        kept = [mask.sop_instance_uid for mask in masks]
        yield pb.StreamResponse(
            opened=pb.Opened(
                scan_id=finished.scan_id,
                state=finished.report.state,
                kept_sop_instance_uids=sorted(kept),
            )
        )
        if request.send_masks:
            for mask in masks:
                yield pb.StreamResponse(mask=mask)
        yield pb.StreamResponse(report=finished.report)

    async def _conduct(
        self, live: LiveScan, requests: Requests
    ) -> AsyncIterator[pb.StreamResponse]:
        outbox = live.attach()
        reader = asyncio.create_task(self._read(live, outbox, requests))
        try:
            async for response in outbox:
                yield response
        finally:
            live.detach(outbox)
            reader.cancel()

    async def _read(self, live: LiveScan, outbox: Outbox, requests: Requests) -> None:
        """Read a caller's messages until it ends the scan or goes away."""
        try:
            by = await self._read_slices(live, outbox, requests)
            if by is not None:
                await live.complete(by)
        except ScanError as error:
            outbox.close(error)
        except Exception as error:
            logger.exception("a call could not be worked on")
            outbox.close(internal(error))

    async def _read_slices(
        self, live: LiveScan, outbox: Outbox, requests: Requests
    ) -> CompletedBy | None:
        """Work on slices as they come; the signal that ended the scan, None without one."""
        room = asyncio.Semaphore(self._slices_in_flight)
        in_hand: set[asyncio.Task[None]] = set()

        def done(size: int, task: asyncio.Task[None]) -> None:
            self._intake.give_back(size)
            room.release()
            in_hand.discard(task)
            self._in_hand.discard(task)
            if not task.cancelled() and (error := task.exception()):
                outbox.close(_as_scan_error(error))

        async for request in requests:
            match request.WhichOneof("request"):
                case "slice":
                    await room.acquire()
                    await outbox.room()
                    size = request.ByteSize()
                    await self._intake.take(size)
                    task = asyncio.create_task(live.receive(request.slice, outbox, size))
                    in_hand.add(task)
                    self._in_hand.add(task)
                    task.add_done_callback(partial(done, size))
                case "end":
                    outcomes = await asyncio.gather(*in_hand, return_exceptions=True)
                    failed = any(isinstance(outcome, BaseException) for outcome in outcomes)
                    if failed or outbox.closed:  # a slice is unanswered: the scan goes on
                        return None
                    abandoned = request.end.abandon
                    return CompletedBy.ABANDONED if abandoned else CompletedBy.END
                case _:
                    raise _unexpected()
            del request  # nor the message, while nothing comes
        return None


def _as_scan_error(error: BaseException) -> ScanError:
    if isinstance(error, ScanError):
        return error
    logger.error("a slice could not be worked on", exc_info=error)
    return internal(error)


async def _open_request(requests: Requests) -> pb.OpenScan:
    async for request in requests:
        if request.HasField("open"):
            if request.ByteSize() > _OPEN_BYTES:
                raise open_too_large(_OPEN_BYTES)
            forget_unknown_fields(request.open)
            return request.open
        break
    raise ScanError(
        CallStatus.INVALID_ARGUMENT, "OPEN_FIRST", "The first message must be OpenScan."
    )


def _unexpected() -> ScanError:
    return ScanError(
        CallStatus.INVALID_ARGUMENT,
        "UNEXPECTED_MESSAGE",
        "After OpenScan only Slice and EndScan are expected.",
    )
