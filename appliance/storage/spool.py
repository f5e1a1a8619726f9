"""The durable spool: what is acknowledged is here first, and survives a crash.

One folder per scan under ``<state>/spool``, in it one append-only log (its
format: :mod:`appliance.storage.record`). Payloads are bytes; nothing here
knows what they mean.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

from appliance.failpoints import hit
from appliance.storage import files
from appliance.storage.contents import SpoolContents
from appliance.storage.errors import (
    SpoolCorruptError,
    SpoolError,
    SpoolFullError,
    SpoolNotRecoveredError,
    SpoolReadError,
    SpoolStalledError,
    SpoolUnknownScanError,
    SpoolWriteError,
)
from appliance.storage.layout import SpoolFolder
from appliance.storage.lock import StateLock
from appliance.storage.logfile import LogFile
from appliance.storage.reader import LogReader
from appliance.storage.record import Record, RecordRef
from appliance.storage.reopening import RecoveredScan, Recovery, Reopening
from appliance.storage.stalls import STALL_S, within
from appliance.storage.writer import GroupWriter

logger = logging.getLogger(__name__)

QUEUE_BYTES = 64 * 2**20
_THREADS = 4

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Spool(SpoolContents):
    """Keeps the records of all scans.

    Safe to use from several threads. The ``async`` methods belong to one event
    loop, never block it, and wait for a disk that hangs no longer than `stall_s`.

    Parameters
    ----------
    state
        The state folder; made if missing. Locked until the spool is closed.
    queue_bytes
        Most bytes that may wait for the disk.
    stall_s
        A disk that takes longer for one thing hangs, s.

    Raises
    ------
    StateLockedError
        When another process uses the state folder.
    SpoolWriteError
        When the folder cannot be made or written.
    """

    def __init__(
        self, state: Path, *, queue_bytes: int = QUEUE_BYTES, stall_s: float = STALL_S
    ) -> None:
        try:
            files.make_folder(state)
            self._lock = StateLock(state / "lock")
            folder = self._open_folder(state / "spool")
        except OSError as error:
            raise SpoolWriteError(f"opening the spool in {state}", error) from error
        super().__init__(folder)
        self._unrecovered = set(self._folder.scans())
        self._stall_s = stall_s
        self._writer = GroupWriter(self._folder.path, queue_bytes, stall_s)
        self._reopening = Reopening(self._folder, self._writer, self._unrecovered)
        self._threads = ThreadPoolExecutor(_THREADS, "spool")
        self._turn = asyncio.Lock()

    def _open_folder(self, path: Path) -> SpoolFolder:
        try:
            return SpoolFolder(path)
        except OSError:
            self._lock.release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Make durable what is queued, then give the state folder back. Blocks."""
        self._threads.shutdown(cancel_futures=True)
        self._writer.close()
        self._lock.release()

    @property
    def stalled(self) -> bool:
        """True while the disk hangs, so that nothing more is kept."""
        return self._writer.stalled

    @property
    def fault(self) -> str:
        """Why nothing more is kept; empty while all is well."""
        return "the disk hangs" if self.stalled else ""

    async def run(self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Call one of the methods that block in a thread of the spool's own.

        Raises
        ------
        SpoolStalledError
            When it takes too long; it may still be done.
        """
        async with self.deadline():
            called = self._threads.submit(work, *args, **kwargs)
            return await asyncio.wrap_future(called)

    def deadline(self) -> AbstractAsyncContextManager[None]:
        """Break off what a block waits for, with SpoolStalledError, when the disk hangs."""
        return within(self._stall_s, SpoolStalledError)

    async def append(self, scan_id: str, record: Record) -> RecordRef:
        """Keep a record; returns when it is durable. Raises as :meth:`enqueue`.

        Raises
        ------
        SpoolWriteError
            When it could not be made durable (disk full, I/O error).
        """
        durable = await self.enqueue(scan_id, record)
        async with self.deadline():
            return await durable

    async def durable(self, record: asyncio.Future[RecordRef]) -> RecordRef:
        """Wait until a record that was queued is durable.

        Raises
        ------
        SpoolError
            As :meth:`append`. After SpoolStalledError it may still be kept.
        """
        async with self.deadline():
            return await asyncio.shield(record)

    async def enqueue(self, scan_id: str, record: Record) -> asyncio.Future[RecordRef]:
        """Queue a record, waiting for room in the queue; the future is done when it is durable.

        Records land in the order of the calls. The future fails as
        :meth:`append` does. A record whose future is cancelled may be kept.

        Raises
        ------
        SpoolBrokenError
            When an earlier record of the scan failed: :meth:`recover` it first.
        SpoolNotRecoveredError
            When there is a log of an earlier run: :meth:`recover` it first.
        SpoolStalledError
            When the disk hangs, so that there is no room in time.
        SpoolClosedError
            When the spool is closed.
        """
        async with self.deadline(), self._turn:
            while True:
                try:
                    return asyncio.wrap_future(self.submit(scan_id, record))
                except SpoolFullError:
                    await asyncio.wrap_future(self._writer.room(record.size))

    def submit(self, scan_id: str, record: Record) -> Future[RecordRef]:
        """Queue a record from any thread; as :meth:`enqueue`, but it never waits.

        Raises
        ------
        SpoolFullError
            When there is no room in the queue.
        """
        self._folder.log_path(scan_id)
        if scan_id in self._unrecovered:
            raise _not_recovered(scan_id)
        hit("spool.queue")
        return self._writer.submit(scan_id, record)

    def recover(self, scan_id: str) -> RecoveredScan:
        """Open the log of an earlier run, or one that broke, to go on with it. Blocks.

        All records that it returns are durable, acknowledged or not. A torn
        tail is cut off. A damaged log is set aside, by renaming its folder, and
        its sound records are put into a fresh one (see :mod:`appliance.storage.salvage`).

        Raises
        ------
        SpoolUnknownScanError
            When there is no log.
        SpoolCorruptError
            When it was damaged, and what could be salvaged of it lies in its place:
            recover it again.
        SpoolVersionError
            When a newer Breathhold wrote it; it is left as it is.
        SpoolReadError, SpoolWriteError
            When the system refuses; it is left as it is.
        """
        with self._recovering:
            log = self._writer.log(scan_id)
            if log is not None and not log.broken:
                try:
                    return RecoveredScan(scan_id, tuple(self.records(scan_id)), 0)
                except SpoolCorruptError:
                    return self._reopening.again(scan_id)
            if log is not None:
                return self._reopening.broken(scan_id, log)
            if scan_id not in self._unrecovered:
                raise _unknown(scan_id)
            return self._reopening.earlier(scan_id)

    def recover_all(self) -> Recovery:
        """Recover every scan; one that cannot be does not stop the others. Blocks."""
        scans: dict[str, RecoveredScan] = {}
        failed: dict[str, SpoolError] = {}
        for scan_id in self.scans():
            try:
                scans[scan_id] = self.recover(scan_id)
            except SpoolError as error:
                logger.error("%s", error)
                failed[scan_id] = error
        return Recovery(scans, failed)

    def records(self, scan_id: str) -> Iterator[RecordRef]:
        """Yield the durable records of a scan, oldest first, without their payloads. Blocks.

        Raises
        ------
        SpoolUnknownScanError, SpoolNotRecoveredError, SpoolReadError, SpoolCorruptError
        """
        log = self._open_log(scan_id)
        end = log.end
        if not end:
            return
        try:
            with log.path.open("rb") as file:
                yield from LogReader(file, scan_id, end).records()
        except OSError as error:
            raise SpoolReadError(f"reading the log of scan {scan_id}", error) from error

    def remove(self, scan_id: str) -> None:
        """Remove a scan, durably, after what is queued for it was written. Blocks.

        Removing a scan that is not there does nothing.

        Raises
        ------
        SpoolWriteError
            When the system refuses.
        SpoolStalledError
            When what is queued is not written in time; nothing was removed.
        """
        with self._recovering:
            self._writer.drop(scan_id)
            hit("spool.remove")
            self._folder.remove(scan_id)
            self._unrecovered.discard(scan_id)

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait for the disk."""
        return self._writer.queued_bytes

    def _open_log(self, scan_id: str) -> LogFile:
        log = self._writer.log(scan_id)
        if log is not None:
            return log
        raise _not_recovered(scan_id) if scan_id in self._unrecovered else _unknown(scan_id)


def _unknown(scan_id: str) -> SpoolUnknownScanError:
    return SpoolUnknownScanError(f"the spool holds no scan {scan_id}")


def _not_recovered(scan_id: str) -> SpoolNotRecoveredError:
    return SpoolNotRecoveredError(f"scan {scan_id} is from an earlier run; recover it first")
