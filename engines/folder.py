"""The folder of what was made for this box: plans, and how long they take.

Writing goes to a temporary file that takes the old one's place when it is whole, so whoever
fails leaves the old one as it was. A plan is code that runs on the GPU: a folder that others
than its owner may write to is not used.
"""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engines.artefacts import ModelError
from engines.stopping import check_stop

#: Where it is, when it is set.
ENVIRONMENT = "BREATHHOLD_ENGINES"
_GLANCE_S = 0.1


def default_folder() -> Path:
    """$BREATHHOLD_ENGINES, else "engines" in systemd's cache folder or in the user's own.

    References
    ----------
    systemd.exec(5), CacheDirectory=; XDG Base Directory Specification.
    """
    if chosen := os.environ.get(ENVIRONMENT):
        return Path(chosen)
    if service := os.environ.get("CACHE_DIRECTORY"):
        return Path(service.split(":")[0]) / "engines"
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "breathhold/engines"


def refuse_open(folder: Path) -> None:
    """Raise ModelError when others than its owner may write to it; OSError when it is not there."""
    if folder.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ModelError(
            f"others may write to {folder}, whose plans are code for the GPU: "
            "chmod go-w it, or keep them elsewhere"
        )


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Wait until no other process works on the folder, which is made where it is missing.

    Raises
    ------
    ModelError
        When others may write to it.
    OSError
        When it cannot be written.
    LoadStoppedError
        When this thread is to load no further.
    """
    _make(folder)
    refuse_open(folder)
    with open(folder / ".lock", "ab", opener=_private) as file:
        while not _taken(file.fileno()):
            check_stop()
            time.sleep(_GLANCE_S)
        yield


def replace_file(path: Path, content: bytes) -> None:
    """Write a file so that a crash leaves the old one or the new one, whole."""
    _make(path.parent)
    fd, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _taken(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _make(folder: Path) -> None:
    folder.mkdir(0o755, parents=True, exist_ok=True)


def _private(path: str, flags: int) -> int:
    """Opens a file that no one else can open, not even to lock it."""
    return os.open(path, flags, 0o600)
