"""Reports on their way into the store: while it takes none, one of them tries for all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from appliance.storage.errors import ResultsConflictError, StorageError

_T = TypeVar("_T")

#: What failed for want of storage is tried again after this, and each time after twice as long, s.
FIRST_PAUSE_S = 5.0
_LONGEST_PAUSE_S = 60.0


def pause_s(first_s: float, failures: int) -> float:
    """How long to wait after so many failures, one or more, s."""
    return min(first_s * 2.0 ** min(failures - 1, 30), max(first_s, _LONGEST_PAUSE_S))


class ReportSaving:
    """Saves reports until the store takes them. Used from the event loop only.

    A store that failed is asked again once a pause, however many reports wait for it.

    Parameters
    ----------
    first_pause_s
        After the first failure, s; it doubles with each, up to a minute.
    """

    def __init__(self, first_pause_s: float = FIRST_PAUSE_S) -> None:
        self._first_pause_s = first_pause_s
        self._turn = asyncio.Lock()
        self._works = asyncio.Event()
        self._error: StorageError | None = None
        self._failures, self._due = 0, 0.0

    async def save(
        self, once: Callable[[], Awaitable[_T]], failed: Callable[[StorageError], None]
    ) -> _T:
        """Call `once` until the store takes what it saves; returns what it returned.

        Parameters
        ----------
        once
            Saves the report.
        failed
            Told each time the store did not take one, this one or another.

        Raises
        ------
        ResultsConflictError
            When no time will help: it contradicts what is there.
        """
        while True:
            try:
                return await self._once(once)
            except ResultsConflictError:
                raise
            except StorageError as error:
                failed(error)
            await self._pause()

    async def _once(self, once: Callable[[], Awaitable[_T]]) -> _T:
        async with self._turn:
            if self._error and time.monotonic() < self._due:
                raise self._error.with_traceback(None)
            try:
                saved = await once()
            except ResultsConflictError:
                raise
            except StorageError as error:
                self._error, self._failures = error, self._failures + 1
                self._due = time.monotonic() + pause_s(self._first_pause_s, self._failures)
                self._works.clear()
                raise
            self._error, self._failures = None, 0
            self._works.set()
            return saved

    async def _pause(self) -> None:
        """Until the store is asked again, or took the report of another scan."""
        try:
            await asyncio.wait_for(self._works.wait(), max(0.0, self._due - time.monotonic()))
        except TimeoutError:
            return
