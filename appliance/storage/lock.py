"""One daemon to a state folder."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from appliance.storage.errors import StateLockedError
from appliance.storage.files import FILE_MODE


class StateLock:
    """Holds a lock file until it is released or the process ends, however it ends.

    Parameters
    ----------
    path
        The lock file. It stays when the lock is released and holds the process
        id of the last owner.

    Raises
    ------
    StateLockedError
        When another process, or another lock of this one, holds it.
    OSError
        When the file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            self._take(path)
        except BaseException:
            os.close(self._fd)
            raise

    def _take(self, path: Path) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(self._fd, 32, 0).decode(errors="replace").strip() or "unknown"
            raise StateLockedError(
                f"{path.parent} is in use by another Breathhold (process {owner}): "
                "stop it, or choose another state folder"
            ) from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Give the lock back; a second call does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
