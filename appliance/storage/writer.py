"""The one thread that writes: it takes all that waits, and syncs each log once."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

from appliance.storage.errors import (
    SpoolBrokenError,
    SpoolClosedError,
    SpoolFullError,
    SpoolStalledError,
    SpoolWriteError,
)
from appliance.storage.logfile import LOG_NAME, LogFile
from appliance.storage.record import Record, RecordRef
from appliance.storage.stalls import STALL_S, Pulse

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Append:
    """One record on its way to the disk, and who waits for it."""

    scan_id: str
    record: Record
    future: Future[RecordRef] = field(default_factory=Future)


class GroupWriter:
    """Group commit over the logs of all scans.

    While one group is being synced the next one gathers, so under load many
    records share one sync, and without load a record waits for nothing.

    Parameters
    ----------
    folder
        Holds one folder per scan.
    queue_bytes
        Most bytes that may wait, those being written included. A record that
        is larger than that goes through alone.
    stall_s
        A write or a sync that takes longer hangs, s. Until it is done no more is taken.
    """

    def __init__(self, folder: Path, queue_bytes: int, stall_s: float = STALL_S) -> None:
        self._folder = folder
        self._most_bytes = queue_bytes
        self._stall_s, self._pulse = stall_s, Pulse(stall_s)
        self._bytes = 0
        self._logs: dict[str, LogFile] = {}
        self._queue: deque[_Append] = deque()
        self._writing: list[_Append] = []
        self._waiting: deque[tuple[int, Future[None]]] = deque()
        self._closed = self._died = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="spool-writer", daemon=True)
        self._thread.start()

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait, those being written included."""
        return self._bytes

    @property
    def stalled(self) -> bool:
        """True while the disk hangs, or when the thread died."""
        return self._died or self._pulse.stalled

    def submit(self, scan_id: str, record: Record) -> Future[RecordRef]:
        """Queue a record; the future is done when it is durable.

        Raises
        ------
        SpoolFullError, SpoolBrokenError, SpoolStalledError, SpoolClosedError
            And nothing was queued.
        """
        with self._changed:
            self._check_open()
            self._check_answering()
            self._check_sound(scan_id)
            if not self._fits(record.size):
                raise SpoolFullError(f"{self._bytes} bytes wait for the disk already")
            append = _Append(scan_id, record)
            if scan_id not in self._logs:
                self._logs[scan_id] = LogFile(self._folder / scan_id / LOG_NAME)
            self._queue.append(append)
            self._bytes += record.size
            self._changed.notify_all()
        return append.future

    def room(self, size: int) -> Future[None]:
        """Return a future that is done when `size` bytes fit. They are not reserved."""
        room: Future[None] = Future()
        with self._changed:
            self._check_open()
            self._waiting.append((size, room))
            ready = self._take_ready()
        _grant(ready)
        return room

    def log(self, scan_id: str) -> LogFile | None:
        """Return the log of a scan that this process writes to."""
        with self._changed:
            return self._logs.get(scan_id)

    def adopt(self, scan_id: str, log: LogFile) -> None:
        """Go on writing to a recovered log."""
        with self._changed:
            self._logs[scan_id] = log

    def drop(self, scan_id: str) -> None:
        """Forget a log when all that is queued for it is written.

        Raises
        ------
        SpoolStalledError
            When that takes too long; the log is not forgotten.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: not self._is_queued(scan_id), self._stall_s):
                raise SpoolStalledError(self._stall_s)
            self._logs.pop(scan_id, None)

    def close(self) -> None:
        """Write what is queued, then end. More is refused from now on."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _check_open(self) -> None:
        if self._closed:
            raise SpoolClosedError("the spool is closed")

    def _check_answering(self) -> None:
        if self._pulse.stalled:
            raise SpoolStalledError(self._stall_s)

    def _check_sound(self, scan_id: str) -> None:
        log = self._logs.get(scan_id)
        if log is not None and log.broken:
            raise _broken(scan_id)

    def _fits(self, size: int) -> bool:
        return self._bytes == 0 or self._bytes + size <= self._most_bytes

    def _is_queued(self, scan_id: str) -> bool:
        return any(append.scan_id == scan_id for append in (*self._queue, *self._writing))

    def _run(self) -> None:
        try:
            while self._take():
                self._write_group()
                self._release()
        finally:
            self._abort()

    def _take(self) -> bool:
        """Wait for records and take them all; False when closed and nothing is left."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed)
            self._writing = list(self._queue)
            self._queue.clear()
        return bool(self._writing)

    def _write_group(self) -> None:
        wanted = (
            append for append in self._writing if append.future.set_running_or_notify_cancel()
        )
        written = [
            (log, appends, refs)
            for log, appends in self._by_log(wanted)
            if (refs := self._write(log, appends)) is not None
        ]
        for log, appends, refs in written:
            self._sync(log, appends, refs)

    def _by_log(self, appends: Iterable[_Append]) -> list[tuple[LogFile, list[_Append]]]:
        groups: dict[str, list[_Append]] = {}
        for append in appends:
            groups.setdefault(append.scan_id, []).append(append)
        with self._changed:
            return [(self._logs[scan_id], group) for scan_id, group in groups.items()]

    def _write(self, log: LogFile, appends: list[_Append]) -> list[RecordRef] | None:
        try:
            with self._pulse.job():
                return log.write([append.record for append in appends])
        except OSError as error:
            self._break(log, appends, error)
            return None

    def _sync(self, log: LogFile, appends: list[_Append], refs: list[RecordRef]) -> None:
        try:
            with self._pulse.job():
                log.sync()
        except OSError as error:
            return self._break(log, appends, error)
        for append, ref in zip(appends, refs, strict=True):
            append.future.set_result(ref)
        return None

    def _break(self, log: LogFile, appends: list[_Append], error: OSError) -> None:
        """Fail a log's records, those queued behind them too, and take no more for it."""
        scan_id = log.path.parent.name
        failure = SpoolWriteError(f"keeping a record of scan {scan_id}", error)
        logger.error("%s", failure)
        with self._pulse.job():
            log.discard()
        with self._changed:
            log.broken = True
            queued = [append for append in self._queue if append.scan_id == scan_id]
            self._queue = deque(append for append in self._queue if append.scan_id != scan_id)
            self._bytes -= sum(append.record.size for append in queued)
        for append in appends:
            append.future.set_exception(failure)
        _fail(queued, _broken(scan_id))

    def _release(self) -> None:
        with self._changed:
            self._bytes -= sum(append.record.size for append in self._writing)
            self._writing = []
            ready = self._take_ready()
            self._changed.notify_all()
        _grant(ready)

    def _take_ready(self) -> list[Future[None]]:
        """Take those from the head of the line for whom there is room."""
        ready: list[Future[None]] = []
        while self._waiting and self._fits(self._waiting[0][0]):
            ready.append(self._waiting.popleft()[1])
        return ready

    def _abort(self) -> None:
        """Leave no one waiting, whatever ended the thread."""
        with self._changed:
            self._died, self._closed = not self._closed, True
            left = [*self._writing, *self._queue]
            waiting = [room for _, room in self._waiting]
            self._writing, self._waiting = [], deque()
            self._queue.clear()
            self._bytes = 0
            self._changed.notify_all()
        _fail(left, SpoolClosedError("the spool's writer ended"))
        _grant(waiting)


def _broken(scan_id: str) -> SpoolBrokenError:
    return SpoolBrokenError(
        f"an earlier write of scan {scan_id} failed; it takes no more until it is recovered"
    )


def _fail(appends: list[_Append], error: Exception) -> None:
    for append in appends:
        if append.future.running() or append.future.set_running_or_notify_cancel():
            append.future.set_exception(error)


def _grant(rooms: list[Future[None]]) -> None:
    for room in rooms:
        if room.set_running_or_notify_cancel():
            room.set_result(None)
