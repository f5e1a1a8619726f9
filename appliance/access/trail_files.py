"""The files of the audit trail: whole lines or none, of bounded size and age."""

from __future__ import annotations

import contextlib
import datetime
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import Counter

from appliance.config import AuditConfig
from appliance.failpoints import hit
from appliance.storage.files import FILE_MODE, make_folder

logger = logging.getLogger(__name__)

_MIB = 2**20
_DAY_S = 86400.0


class TrailFiles:
    """Lines in ``audit.jsonl``, and before them in ``audit.1.jsonl``, ``audit.2.jsonl`` and so on.

    Not safe from several threads at once.

    Parameters
    ----------
    folder
        Made where it is missing.
    config
        How large, how many, and for how long.
    torn
        Counts lines found that had not been written to their end.
    dropped
        Counts files that were dropped before their time, as there were too many.
    """

    def __init__(self, folder: Path, config: AuditConfig, torn: Counter, dropped: Counter) -> None:
        self._folder, self._config = folder, config
        self._torn, self._dropped = torn, dropped

    @property
    def path(self) -> Path:
        return self._folder / "audit.jsonl"

    def append(self, line: bytes) -> None:
        """Write a line that ends with a newline, whole or not at all.

        Raises
        ------
        OSError
            When it is not written; what was there before is there still.
        """
        hit("audit")
        make_folder(self._folder)
        if self._size() + len(line) > self._config.file_mib * _MIB:
            self._close()
        with self._opened() as file:
            size = os.fstat(file).st_size
            torn = bool(size) and os.pread(file, 1, size - 1) != b"\n"
            _write_whole(file, b"\n" + line if torn else line, size)
        if torn:
            self._torn.inc()
            logger.error("the last line of the audit trail was not whole; the next is its own")

    def tidy(self, now: float) -> None:
        """Close a file that is open for long; drop the oldest when all of it is past its time.

        One file each time, so that a clock that has jumped costs no more.

        Parameters
        ----------
        now
            The time of day, s since the epoch.

        Raises
        ------
        OSError
            When a file cannot be renamed or removed.
        """
        keep_s = self._config.keep_days * _DAY_S
        if self._config.files > 1 and now - self._began(now) > keep_s / (self._config.files // 2):
            self._close()
        older = [
            path for path in map(self._numbered, range(1, self._config.files)) if path.exists()
        ]
        if older and now - older[-1].stat().st_mtime > keep_s:
            older[-1].unlink()
            logger.info("the oldest file of the audit trail was kept long enough and is dropped")

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            yield file
        finally:
            os.close(file)

    def _size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def _began(self, now: float) -> float:
        """When the first event of the open file was, s since the epoch; `now` when none tells."""
        try:
            with self.path.open("rb") as file:
                return _time_of(file.readline())
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return now

    def _close(self) -> None:
        """Give the open file a number, so that the next line begins another."""
        if not self._size():
            return
        for number in range(self._config.files - 1, 0, -1):
            older = self._numbered(number)
            if older.exists():
                older.replace(self._numbered(number + 1))
        self.path.replace(self._numbered(1))
        oldest = self._numbered(self._config.files)
        if oldest.exists():
            self._drop_early(oldest)

    def _drop_early(self, path: Path) -> None:
        path.unlink()
        self._dropped.inc()
        logger.warning(
            "the audit trail is full: its oldest events are dropped before audit.keep_days is over"
        )

    def _numbered(self, number: int) -> Path:
        return self._folder / f"audit.{number}.jsonl"


def _write_whole(file: int, data: bytes, size: int) -> None:
    """Append to a file of `size` bytes; cut off what was written when it cannot be all."""
    pending = memoryview(data)
    try:
        while pending:
            pending = pending[os.write(file, pending) :]
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(file, size)
        raise


def _time_of(line: bytes) -> float:
    return datetime.datetime.fromisoformat(json.loads(line)["EventDateTime"]).timestamp()
