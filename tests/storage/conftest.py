"""What the storage tests share: records with a known content, and a disk that can be held."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.storage import files
from appliance.storage.record import Record, RecordKind


def content_of(key: str, size: int = 100) -> bytes:
    """Bytes that follow from the key, so that a reader can check them."""
    return hashlib.shake_128(key.encode()).digest(size)


def slice_record(key: str, size: int = 100) -> Record:
    return Record(RecordKind.SLICE, key, content_of(key, size))


class HeldDisk:
    """Counts syncs, and lets them wait or fail. All else is the real file system."""

    def __init__(self) -> None:
        self.syncs = 0
        self.errors: list[Exception] = []
        self.reached = threading.Event()
        self.open = threading.Event()
        self.open.set()
        self._sync = files.sync_data

    def hold(self) -> None:
        self.reached.clear()
        self.open.clear()

    def sync_data(self, fd: int) -> None:
        self.syncs += 1
        self.reached.set()
        assert self.open.wait(30)
        if self.errors:
            raise self.errors.pop(0)
        self._sync(fd)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[HeldDisk]:
    held = HeldDisk()
    monkeypatch.setattr(files, "sync_data", held.sync_data)
    yield held
    held.open.set()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"
