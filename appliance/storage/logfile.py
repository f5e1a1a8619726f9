"""One scan's log as its writer sees it: append, sync, or fail and be cut back."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from appliance.failpoints import hit
from appliance.storage import files
from appliance.storage.errors import SpoolCorruptError, SpoolReadError, SpoolWriteError
from appliance.storage.reader import LogContent, LogReader, read_payload
from appliance.storage.record import (
    FILE_HEADER_BYTES,
    Record,
    RecordRef,
    pack_file_header,
    pack_mark,
    pack_record,
    place,
)

LOG_NAME = "scan.log"


class LogFile:
    """Appends to one log. The file is open only from `write` to `sync` or `discard`.

    Parameters
    ----------
    path
        Of the log. Its folder names the scan.
    end
        Bytes that are synced; 0 for a log that is still to be created.
    salt
        From the file header of an existing log.

    Attributes
    ----------
    end
        Bytes that are synced.
    broken
        Set by the writer when a write failed. Such a log takes nothing more.
    """

    def __init__(self, path: Path, end: int = 0, salt: int | None = None) -> None:
        self.path = path
        self.end = end
        self.broken = False
        self._salt = secrets.randbits(64) if salt is None else salt
        self._fd = -1
        self._written = end

    def write(self, records: Sequence[Record]) -> list[RecordRef]:
        """Write records behind the synced ones; they are not durable before `sync`.

        Raises
        ------
        OSError
            When the system refuses. Call `discard` then.
        """
        hit("spool.write")
        self._fd = files.open_file(self.path) if self.end else self._create()
        refs, buffers, offset = self._lay_out(records)
        files.write_all(self._fd, buffers, self.end)
        self._written = offset
        return refs

    def _create(self) -> int:
        self.path.parent.mkdir(mode=files.FOLDER_MODE, exist_ok=True)
        return files.create_file(self.path)

    def _lay_out(self, records: Sequence[Record]) -> tuple[list[RecordRef], list[bytes], int]:
        """Return where each record will lie, all bytes to write, and the offset behind them."""
        buffers = [] if self.end else [pack_file_header(self._salt)]
        offset = self.end or FILE_HEADER_BYTES
        refs = []
        for record in records:
            ref = place(self.path.parent.name, record, offset)
            buffers += pack_record(ref, record.payload, self._salt, self.end)
            refs.append(ref)
            offset = ref.end
        return refs, buffers, offset

    def sync(self) -> None:
        """Make what was written durable.

        Raises
        ------
        OSError
            When the system refuses. Call `discard` then.
        """
        hit("spool.sync")
        files.sync_data(self._fd)
        if not self.end:
            files.sync_folder(self.path.parent)
            files.sync_folder(self.path.parent.parent)
        hit("spool.synced")
        self.end = self._written
        self._mark()
        self._close()

    def _mark(self) -> None:
        """Witness the sync. Without it the records are as safe; damage is harder to tell."""
        with contextlib.suppress(OSError):
            mark = pack_mark(self._salt, self.end)
            self.end = files.write_all(self._fd, [mark], self.end)

    def discard(self) -> None:
        """Drop what was not synced, where the system lets us."""
        with contextlib.suppress(OSError):
            if self._fd >= 0:
                files.truncate(self._fd, self.end)
        self._close()

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def cut(path: Path, size: int) -> None:
    """Cut a log to `size` bytes, durably; a log without a byte is removed.

    A log that lost its header in being created never held an acknowledged record.

    Raises
    ------
    SpoolWriteError
        When the system refuses.
    """
    try:
        if size < FILE_HEADER_BYTES:
            path.unlink(missing_ok=True)
            return files.sync_folder(path.parent)
        fd = files.open_file(path)
        try:
            return files.truncate(fd, size)
        finally:
            os.close(fd)
    except OSError as error:
        raise SpoolWriteError(f"cutting back the log of scan {path.parent.name}", error) from error


def repair(path: Path) -> LogContent | None:
    """Read a log, cut off its torn tail and sync it, so that all in it is durable.

    Returns
    -------
    What it holds; None when there was not even a header.

    Raises
    ------
    SpoolCorruptError, SpoolVersionError
        When it cannot be used as it is. It is left untouched.
    SpoolReadError, SpoolWriteError
        When the system refuses.
    """
    content = read_log(path)
    cut(path, content.end if content else 0)
    return content


def read_log(path: Path) -> LogContent | None:
    """Read a whole log; None when it has not even a header. Raises as :func:`repair`."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size < FILE_HEADER_BYTES:
                return None
            return LogReader(file, path.parent.name, size).content()
    except OSError as error:
        raise SpoolReadError(f"reading the log of scan {path.parent.name}", error) from error


def first_record(path: Path) -> Record | None:
    """Read what a log begins with; None when there is no log, or no sound first record.

    Raises
    ------
    SpoolVersionError
        When a newer Breathhold wrote it.
    SpoolReadError
        When the system refuses.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            ref = next(LogReader(file, path.parent.name, size).records())
        return Record(ref.kind, ref.key, read_payload(path, ref))
    except (FileNotFoundError, SpoolCorruptError, StopIteration):
        return None
    except OSError as error:
        raise SpoolReadError(f"reading the log of scan {path.parent.name}", error) from error
