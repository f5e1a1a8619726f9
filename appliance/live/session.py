"""One scan in progress, from its first slice to its report."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace

from appliance.failpoints import hit
from appliance.inference.editions import Edition
from appliance.inference.parts import Divided, PartsJob
from appliance.inference.queue import Job
from appliance.inference.serving import Serving
from appliance.inference.slab_inference import Failure, Result
from appliance.inference.tasks import TaskOutcome
from appliance.ingest import SliceRefusedError
from appliance.ingest.errors import ReadersUnavailableError
from appliance.live import wire
from appliance.live.division import Division
from appliance.live.errors import (
    ScanError,
    inference_failed,
    internal,
    readers_unavailable,
    results_failed,
    taken_over,
)
from appliance.live.keeping import KeptSlices
from appliance.live.masks import MaskBook
from appliance.live.outbox import Outbox
from appliance.live.reading import claimed_uid
from appliance.live.reporting import make_report
from appliance.live.services import Services
from appliance.scan.events import (
    Accepted,
    Completed,
    CompletedBy,
    Duplicate,
    Event,
    Finished,
    Inferred,
    Noticed,
    Refused,
    SlabReady,
)
from appliance.scan.scan import Scan
from appliance.scan.slice import Slice
from appliance.scan.verdicts import Notice, Refusal
from appliance.storage.errors import StorageError
from appliance.storage.record import RecordKind, RecordRef
from breathhold.v1 import scan_pb2 as pb
from breathhold.v1 import triage_pb2, types_pb2

logger = logging.getLogger(__name__)

#: Signals that are only want of slices: a scan they ended goes on when its caller is back.
SILENT = (CompletedBy.QUIET, CompletedBy.ABANDONED)


class LiveScan:
    """Conducts one scan: reads slices, keeps them, has them inferred, reports.

    Used from the event loop only; reading and decoding run on other threads.

    Parameters
    ----------
    scan_id
        The appliance's id for the scan.
    opened
        The request that opened it first.
    services
        The rooms around it.
    edition
        The models that infer it, which it holds.
    generation
        Tells it from an earlier run of itself.
    notices
        What its callers and its report are to say of how it was taken up.
    """

    def __init__(
        self,
        scan_id: str,
        opened: pb.OpenScan,
        services: Services,
        edition: Edition,
        generation: int = 0,
        notices: Sequence[Notice] = (),
    ) -> None:
        self.scan_id, self.opened, self.generation = scan_id, opened, generation
        self.edition, self._notices = edition, tuple(notices)
        self.state = types_pb2.SCAN_STATE_RECEIVING
        self.opened_unix_s = time.time()
        self.last_activity = self.last_slice = self._started = time.monotonic()
        self.outbox: Outbox | None = None
        self.ended, self.retired = asyncio.Event(), asyncio.Event()
        self.error: ScanError | None = None
        self.report: types_pb2.Report | None = None
        self._services = services
        expected = opened.expected_slices if opened.HasField("expected_slices") else None
        self._scan = Scan(
            opened.series_instance_uid,
            replace(services.policy, shapes=edition.shapes),
            expected,
            wire.announced_section(opened.section),
        )
        self._kept = KeptSlices(scan_id, services.spool)
        self._masks = MaskBook()
        self._division = Division(services.queue)
        self._served: Serving | None = None
        self._arrived: dict[str, float] = {}
        self._turn = asyncio.Lock()
        self._in_hand = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._score_number = 0
        self._refused = 0
        self._reporting: asyncio.Task[None] | None = None
        self._unsaved: ScanError | None = None
        self._called_back = False

    # -- callers

    def attach(self) -> Outbox:
        """A caller's outbox; an earlier caller's call ends."""
        if self.outbox:
            self.outbox.close(taken_over())
        self.outbox = Outbox(self.running_score)
        self.last_activity = time.monotonic()
        self._send(pb.StreamResponse(opened=self._opened_message()))
        for notice in self._notices:
            self._send_notice(notice)
        if self.opened.send_masks:
            for mask in self._masks.lesions():
                self.outbox.send_mask(mask)
        if self.report:
            self._send(pb.StreamResponse(report=self.report))
        if self.ended.is_set():
            self.outbox.close(self.error)
        return self.outbox

    def detach(self, outbox: Outbox) -> None:
        """A caller is gone; the scan waits for it to come back."""
        if self.outbox is outbox:
            self.outbox = None
            self.last_activity = time.monotonic()

    @property
    def age_s(self) -> float:
        """How long it has been in progress, since it was opened or taken up."""
        return time.monotonic() - self._started

    @property
    def fell_silent(self) -> bool:
        """True when the scan was ended for want of slices, not by its caller's word."""
        return self._scan.completed_by in SILENT

    @property
    def _serving(self) -> Serving:
        """What infers it now."""
        return self._services.devices.shelf.serving_of(self.edition)

    def let_go(self) -> None:
        """Once it has ended: hold its models no more. Blocks for a moment."""
        self._served = None
        self._services.devices.shelf.let_go(self.edition)

    # -- slices

    async def receive(self, message: pb.Slice, outbox: Outbox, size: int) -> None:
        """Read one slice, keep it, answer it, and have inferred what it makes possible.

        Parameters
        ----------
        message
            The slice.
        outbox
            Of the caller that sent it, who alone gets the answer.
        size
            Of the message it came in, bytes.

        Raises
        ------
        ScanError
            When it could not be read just now, or not be kept.
        """
        self.last_activity = time.monotonic()
        self._services.metrics.bytes_received.inc(size)
        wire.forget_unknown_fields(message)
        self._in_hand += 1
        self._idle.clear()
        try:
            await self._receive(message, outbox, size, self.last_activity)
        finally:
            self._in_hand -= 1
            if not self._in_hand:
                self._idle.set()

    async def _receive(self, message: pb.Slice, outbox: Outbox, size: int, arrived: float) -> None:
        try:
            self._services.intake.check(size)
            read = await self._read(message)
        except SliceRefusedError as refused:
            self._refuse(outbox, message.sequence, claimed_uid(message), refused.refusal)
            return
        except ReadersUnavailableError as error:  # it costs the call, not the scan
            raise readers_unavailable(error) from error
        try:
            await self._offer(message, read, outbox, arrived)
        except ScanError as error:
            raise self.fail(error) from error
        except Exception as error:
            logger.exception("scan %s: a slice could not be worked on", self.scan_id)
            raise self.fail(internal(error)) from error
        self._services.metrics.ack_seconds.observe(time.monotonic() - arrived)

    async def _read(self, message: pb.Slice) -> Slice:
        services = self._services
        series = self.opened.series_instance_uid
        return await asyncio.get_running_loop().run_in_executor(
            services.decoders, services.reader.read, message, series
        )

    async def _offer(self, message: pb.Slice, read: Slice, outbox: Outbox, arrived: float) -> None:
        """Offer a slice to the scan, and answer once it is durable, a duplicate, or refused."""
        uid = read.header.sop_instance_uid
        async with self._turn:
            first, *events = self._scan.offer(read.header)
            if isinstance(first, Accepted):
                self.last_slice = self._arrived[uid] = arrived
                self._services.planes.add(self.scan_id, read)
                durable = await self._kept.submit(message, read)
                self._handle(events)
        match first:
            case Accepted():
                await self._kept.settled(durable)
                hit("ack")
                self._services.metrics.slices_received.inc()
                _acknowledge(outbox, message.sequence, uid, duplicate=False)
            case Duplicate():
                await self._kept.durable(uid)
                self._services.metrics.slices_duplicate.inc()
                _acknowledge(outbox, message.sequence, uid, duplicate=True)
            case Refused(_, refusal):
                self._refuse(outbox, message.sequence, uid, refusal)

    def _refuse(self, outbox: Outbox, sequence: int, uid: str, refusal: Refusal) -> None:
        self._refused += 1
        self._services.metrics.slices_refused.labels(refusal.reason).inc()
        refused = pb.SliceRefused(
            sequence=sequence, sop_instance_uid=uid, refusal=wire.refusal_message(refusal)
        )
        outbox.send(pb.StreamResponse(slice_refused=refused))

    # -- the end

    async def complete(self, by: CompletedBy) -> None:
        """A signal says that no more slices come; kept, so that a restart ends the scan too.

        A caller that comes meanwhile outweighs a signal that was only silence.

        Raises
        ------
        ScanError
            When that could not be kept, or not be worked on.
        """
        asked = time.monotonic()
        async with self._turn:
            if self.state != types_pb2.SCAN_STATE_RECEIVING or self.ended.is_set():
                return
            try:
                await self._kept.end(by)
                if by in SILENT and self.last_activity > asked:
                    return
                self._handle(self._scan.complete(by))
            except ScanError as error:
                raise self.fail(error) from error
            except Exception as error:
                logger.exception("scan %s could not be ended", self.scan_id)
                raise self.fail(internal(error)) from error

    def fail(self, error: ScanError) -> ScanError:
        """Break the scan off; what is kept stays in the spool and is taken up again later."""
        if not self.ended.is_set():
            logger.error("scan %s is broken off: %s", self.scan_id, error.reason)
            self.error, self.state = error, types_pb2.SCAN_STATE_FAILED
            self.ended.set()
            self._division.forget()
            if self._reporting:
                self._reporting.cancel()
            if self.outbox:
                self.outbox.close(error)
        return error

    def called_back(self) -> None:
        """Its caller is back though it fell silent: a report that is not taken is not wanted."""
        self._called_back = True
        if self._unsaved:
            self.fail(self._unsaved)

    # -- after a restart

    async def replay(self, refs: Iterable[RecordRef], *, reopened: bool) -> None:
        """Take up a scan from its kept records.

        Parameters
        ----------
        refs
            In the order in which they were kept.
        reopened
            A caller is back: a signal that was only silence no longer holds.
        """
        last: RecordRef | None = None
        for ref in refs:
            if ref.kind is RecordKind.SLICE:
                await self._replay_slice(ref)
            last = ref
        if last is not None and last.kind is RecordKind.END:
            by = CompletedBy(last.key)
            if not (reopened and by in SILENT):
                self._handle(self._scan.complete(by))
        self.last_activity = time.monotonic()

    async def _replay_slice(self, ref: RecordRef) -> None:
        self._kept.found(ref)
        loop = asyncio.get_running_loop()
        try:
            async with self._services.spool.deadline():
                read = await loop.run_in_executor(
                    self._services.decoders, self._read_again, ref.key
                )
        except SliceRefusedError as refused:
            logger.error(
                "scan %s: a kept slice is refused now: %s", self.scan_id, refused.refusal.reason
            )
            return
        first, *events = self._scan.offer(read.header)
        if isinstance(first, Accepted):
            self._services.planes.add(self.scan_id, read)
            self._handle(events)

    def _read_again(self, uid: str) -> Slice:
        series = self.opened.series_instance_uid
        services = self._services
        return services.reader.read(self._kept.read(uid), series)

    def pixels(self, uid: str) -> Slice:
        """A slice whose pixels memory no longer holds. Blocks; for the inference thread."""
        return self._kept.in_hand(uid) or self._read_again(uid)

    # -- what inference found

    def deliver(self, outcome: TaskOutcome) -> None:
        """The result of a slab, or the parts of the scan, or why there is none."""
        if self.ended.is_set() or outcome.job.generation != self.generation:
            return
        if isinstance(outcome, Divided):
            self._note_devices()
            self._division.take(outcome)
            return
        if isinstance(outcome, Failure):
            self._services.metrics.inference_failures.inc()
            self.fail(inference_failed(outcome.error))
            return
        try:
            self._take(outcome)
        except Exception as error:
            logger.exception("scan %s: a result could not be taken", self.scan_id)
            self.fail(internal(error))

    def _take(self, result: Result) -> None:
        events = self._scan.record(result.job.slab, result.tally)
        if events and isinstance(events[0], Inferred):
            self._hold_masks(result, events[0].revision)
            self._note_devices()
        self._handle(events)

    def _hold_masks(self, result: Result, revision: int) -> None:
        lesion = self._masks.write(result, revision)
        if self.outbox and self.opened.send_masks:
            self.outbox.send_mask(lesion)
        arrived = self._arrived.pop(lesion.sop_instance_uid, None)
        if arrived is not None:
            metrics = self._services.metrics
            metrics.slice_to_mask_seconds.observe(time.monotonic() - arrived)

    def _note_devices(self) -> None:
        """What a result came from; devices lost before it are told, once each."""
        before, self._served = self._served, self._serving
        for notice in self._served.notices[len(before.notices) if before else 0 :]:
            self._send_notice(notice)

    # -- events of the core

    def _handle(self, events: Iterable[Event]) -> None:
        for event in events:
            match event:
                case SlabReady(slab):
                    geometry = self._scan.headers[slab.target].geometry
                    urgency, edition = self.opened.priority, self.edition
                    job = Job(self.scan_id, slab, geometry, urgency, self.generation, edition)
                    self._services.queue.put(job)
                case Noticed(notice):
                    self._send_notice(notice)
                case Completed():
                    self.state = types_pb2.SCAN_STATE_COMPLETING
                case Finished():
                    self._reporting = asyncio.create_task(self._report())
                case _:
                    pass
        if self.outbox:
            self.outbox.score_changed()
        self._services.board.touch(self.scan_id)

    def _send_notice(self, notice: Notice) -> None:
        self._send(pb.StreamResponse(warning=wire.warning_message(notice)))

    def _send(self, response: pb.StreamResponse) -> None:
        if self.outbox:
            self.outbox.send(response)

    # -- the report

    async def _report(self) -> None:
        """Once every slice in hand is answered and the report is kept, send it."""
        await self._idle.wait()
        if self.ended.is_set():
            return
        try:
            divided = await self._divided()
            if self.ended.is_set():
                return
            made = self._report_message(divided)
            report = await self._services.saving.save(lambda: self._save(made), self._not_saved)
        except StorageError as error:
            self.fail(results_failed(error))
        except Exception as error:
            logger.exception("scan %s: the report could not be written", self.scan_id)
            self.fail(internal(error))
        else:
            self._end_with(report)

    async def _save(self, made: types_pb2.Report) -> types_pb2.Report:
        """Save the report as of now."""
        report = types_pb2.Report()
        report.CopyFrom(made)
        self._time(report)
        taken = [header.acquisition for header in self._scan.headers.values()]
        origin = await self._services.follow_ups.link(report, taken, self.opened)
        results, line = self._services.results, self._reported_summary(report)
        await results.run(results.save_report, report, self._masks.final(), line, origin)
        return report

    def _not_saved(self, error: StorageError) -> None:
        """Tell who asked; the report waits until the store takes it, or its slices are all left."""
        logger.error("scan %s: the report is not saved yet: %s", self.scan_id, error)
        self._unsaved = results_failed(error)
        if self.outbox:
            self.outbox.close(self._unsaved)
        if self._called_back:
            self.fail(self._unsaved)

    async def _divided(self) -> Divided | None:
        """What became of lobes and segments; None where they are not looked for."""
        scan, roles = self._scan, self._serving.divides_into
        abandoned = scan.completed_by is CompletedBy.ABANDONED
        if abandoned or scan.scores().po is None or not roles:
            return None
        slices = tuple(self._masks.runs(uid, scan.headers[uid].geometry) for uid in scan.stack.ids)
        urgency, edition = self.opened.priority, self.edition
        job = PartsJob(self.scan_id, slices, roles, urgency, self.generation, edition)
        return await self._division.of(job)

    def _report_message(self, divided: Divided | None) -> types_pb2.Report:
        served = self._served or Serving(self._serving.engines)
        notices = (*self._notices, *served.notices)
        norms = self._services.norms
        return make_report(self.scan_id, self.opened, self._scan, norms, served, divided, notices)

    def _time(self, report: types_pb2.Report) -> None:
        report.timing.last_slice_to_report_s = time.monotonic() - self.last_slice
        report.timing.opened_unix_s = self.opened_unix_s
        report.timing.reported_unix_s = time.time()
        report.timing.slices_refused = self._refused

    def _end_with(self, report: types_pb2.Report) -> None:
        self.report, self.state = report, report.state
        metrics = self._services.metrics
        metrics.scans_reported.labels(wire.signal_name(report.completed_by)).inc()
        metrics.last_slice_to_report_seconds.observe(report.timing.last_slice_to_report_s)
        if self.outbox:
            self.outbox.score_changed()
            self._send(pb.StreamResponse(report=report))
            self.outbox.close()
        self.ended.set()
        self._services.board.touch(self.scan_id)

    # -- what others see

    def _opened_message(self) -> pb.Opened:
        return pb.Opened(
            scan_id=self.scan_id, state=self.state, kept_sop_instance_uids=self._kept.uids
        )

    def running_score(self) -> pb.RunningScore:
        self._score_number += 1
        return pb.RunningScore(
            sequence_number=self._score_number,
            scores=wire.scores_message(self._scan.scores()),
            slices_received=len(self._scan.stack),
            slices_inferred=self._scan.slices_inferred,
            coverage=self._scan.coverage,
            elapsed_s=time.monotonic() - self._started,
        )

    def summary(self) -> triage_pb2.ScanSummary:
        """The scan's line on the triage board."""
        return triage_pb2.ScanSummary(
            scan_id=self.scan_id,
            series_instance_uid=self.opened.series_instance_uid,
            station=self.opened.station,
            priority=self.opened.priority,
            state=self.state,
            scores=wire.scores_message(self._scan.scores()),
            running=not self.ended.is_set(),
            slices_received=len(self._scan.stack),
            slices_inferred=self._scan.slices_inferred,
            coverage=self._scan.coverage,
            opened_unix_s=self.opened_unix_s,
            updated_unix_s=time.time(),
            warnings=len(self.report.warnings) if self.report else 0,
            caller=self.opened.caller,
            lss=self.report.lss if self.report and self.report.HasField("lss") else None,
        )

    def _reported_summary(self, report: types_pb2.Report) -> triage_pb2.ScanSummary:
        line = self.summary()
        line.state, line.running, line.warnings = report.state, False, len(report.warnings)
        if report.HasField("lss"):
            line.lss = report.lss
        return line


def _acknowledge(outbox: Outbox, sequence: int, uid: str, *, duplicate: bool) -> None:
    ack = pb.Ack(sequence=sequence, sop_instance_uid=uid, duplicate=duplicate)
    outbox.send(pb.StreamResponse(ack=ack))
