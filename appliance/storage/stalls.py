"""When a disk or a database takes too long: nobody waits for it for ever."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from appliance.storage.errors import StorageStalledError

#: Longer than a sound disk syncs and a database waits for its lock. It is also what Linux gives
#: a disk for one command, s.
STALL_S = 30.0


class Pulse:
    """The job that a thread has in hand, and whether it takes too long.

    Jobs are reported by one thread; any may ask.

    Parameters
    ----------
    limit_s
        A job that takes longer hangs, s.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._since: float | None = None

    @contextmanager
    def job(self) -> Iterator[None]:
        """While the block runs, a job is in hand."""
        self._since = time.monotonic()
        try:
            yield
        finally:
            self._since = None

    @property
    def stalled(self) -> bool:
        """True while the job in hand takes longer than it may."""
        since = self._since
        return since is not None and time.monotonic() - since > self._limit_s


@asynccontextmanager
async def within(
    limit_s: float, error: Callable[[float], StorageStalledError]
) -> AsyncIterator[None]:
    """Break off what the block waits for when that takes longer than `limit_s`.

    Raises
    ------
    StorageStalledError
        What `error` makes of the limit, in seconds.
    """
    deadline = asyncio.timeout(limit_s)
    try:
        async with deadline:
            yield
    except TimeoutError:
        if deadline.expired():
            raise error(limit_s) from None
        raise
