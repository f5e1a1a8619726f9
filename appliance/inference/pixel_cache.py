"""Pixels in memory, within a budget."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, Protocol, TypeVar

from engines.segmenter import Answer, Prepared


class _Sized(Protocol):
    @property
    def nbytes(self) -> int: ...


T = TypeVar("T", bound=_Sized)


class PixelCache(Generic[T]):
    """Pixels by scan id and name, least recently used dropped first. Safe from any thread."""

    def __init__(self, budget_bytes: int) -> None:
        self._budget = budget_bytes
        self._lock = threading.Lock()
        self._held: OrderedDict[tuple[str, Hashable], T] = OrderedDict()
        self._bytes = 0

    @property
    def bytes_used(self) -> int:
        return self._bytes

    def get(self, key: tuple[str, Hashable]) -> T | None:
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
            return self._held.get(key)

    def put(self, key: tuple[str, Hashable], pixels: T) -> None:
        with self._lock:
            self._drop(key)
            self._held[key] = pixels
            self._bytes += pixels.nbytes
            while self._bytes > self._budget and len(self._held) > 1:
                self._drop(next(iter(self._held)))

    def forget(self, scan_id: str) -> None:
        with self._lock:
            for key in [key for key in self._held if key[0] == scan_id]:
                self._drop(key)

    def _drop(self, key: tuple[str, Hashable]) -> None:
        pixels = self._held.pop(key, None)
        if pixels is not None:
            self._bytes -= pixels.nbytes


class PlaneMemory:
    """What lies in one memory: prepared planes, and answers about blocks."""

    def __init__(self, prepared_bytes: int, answer_bytes: int) -> None:
        self.prepared = PixelCache[Prepared](prepared_bytes)
        self.answers = PixelCache[Answer[Prepared]](answer_bytes)

    @property
    def bytes_used(self) -> int:
        return self.prepared.bytes_used + self.answers.bytes_used

    def forget(self, scan_id: str) -> None:
        self.prepared.forget(scan_id)
        self.answers.forget(scan_id)
