"""The few system calls by which something becomes durable, one function each."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

#: Patient data: readable by the daemon's own user alone.
FOLDER_MODE = 0o700
FILE_MODE = 0o600
_MOST_BUFFERS = 1024  # IOV_MAX on Linux, see writev(2)


def make_folder(folder: Path) -> None:
    """Make a folder and its parents, where they are missing, and sync the new entries."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
    sync_folder(folder.parent)


def create_file(path: Path) -> int:
    """Create a new file for writing; FileExistsError when it is there."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)


def open_file(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CLOEXEC)


def write_all(fd: int, buffers: Sequence[bytes], offset: int) -> int:
    """Write the buffers one after the other at `offset`; return the offset behind them."""
    pending = [memoryview(buffer) for buffer in buffers if buffer]
    while pending:
        written = os.pwritev(fd, pending[:_MOST_BUFFERS], offset)
        offset += written
        pending = _drop(pending, written)
    return offset


def _drop(buffers: list[memoryview], count: int) -> list[memoryview]:
    """Return what is left of the buffers after the first `count` bytes."""
    for index, buffer in enumerate(buffers):
        if count < len(buffer):
            return [buffer[count:], *buffers[index + 1 :]]
        count -= len(buffer)
    return []


def sync_data(fd: int) -> None:
    os.fdatasync(fd)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def truncate(fd: int, size: int) -> None:
    """Cut a file and make the cut durable."""
    os.ftruncate(fd, size)
    os.fsync(fd)


def rename(source: Path, target: Path) -> None:
    """Rename within one folder and make the new name durable."""
    source.rename(target)
    sync_folder(target.parent)


def remove_folder(folder: Path) -> None:
    """Remove a folder that holds files only, and make that durable."""
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    sync_folder(folder.parent)


def size_of(folder: Path) -> int:
    """Bytes of all files in a folder and one level below; what vanishes meanwhile counts 0."""
    return sum(_size(path) for pattern in ("*", "*/*") for path in folder.glob(pattern))


def _size(path: Path) -> int:
    try:
        status = path.stat()
    except FileNotFoundError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0
