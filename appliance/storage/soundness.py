"""Whether a database is as a clean stop left it, and what is wrong with one that is not."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from appliance.storage.files import sync_folder

_NOT_DAMAGE = (sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
#: SQLite asks so often whether to go on, in steps of its machine.
_STEPS = 1000


def is_as_left(path: Path) -> bool:
    """True when a database is the very file that a clean stop left, untouched since."""
    if _log(path).exists():
        return False
    try:
        return _note(path).read_bytes() == _looks(path)
    except OSError:
        return False


def leave(path: Path) -> None:
    """Note what a database looks like after a clean stop, where the system lets us."""
    with contextlib.suppress(OSError):
        if not _log(path).exists():
            _note(path).write_bytes(_looks(path))


def take(path: Path) -> None:
    """Forget that note, durably: from now on the database changes.

    Raises
    ------
    OSError
    """
    if _note(path).exists():
        _note(path).unlink()
        sync_folder(path.parent)


def damage(path: Path, stop: Callable[[], bool] = lambda: False) -> str:
    """What SQLite finds wrong with a database; empty when nothing, or when it was stopped. Blocks.

    Reads the whole file.
    """
    try:
        with closing(sqlite3.connect(path)) as connection:
            connection.set_progress_handler(stop, _STEPS)
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        return "" if code in _NOT_DAMAGE else str(error)
    return "" if found == "ok" else str(found)


def _log(path: Path) -> Path:
    """What SQLite has not yet written into the database; a clean stop leaves none."""
    return path.with_name(f"{path.name}-wal")


def _note(path: Path) -> Path:
    return path.with_name(f"{path.name}.left")


def _looks(path: Path) -> bytes:
    status = path.stat()
    return f"{status.st_ino} {status.st_size} {status.st_mtime_ns}\n".encode()
