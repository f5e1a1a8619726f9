"""A stop that ends, whatever hangs: a thread that waits for a disk cannot be ended by itself."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from typing import NoReturn

logger = logging.getLogger(__name__)

_LOOKS_S = 0.1


class LastResort:
    """Ends the process at once when it has not ended in time by itself."""

    def __init__(self) -> None:
        self._ended = threading.Event()

    def arm(self, longest_s: float) -> None:
        """From now on the process has `longest_s` seconds to end."""
        waiting = threading.Thread(
            target=self._wait, args=(longest_s,), name="last-resort", daemon=True
        )
        waiting.start()

    def disarm(self) -> None:
        """Nothing hangs any more."""
        self._ended.set()

    def _wait(self, longest_s: float) -> None:
        if not self._ended.wait(longest_s):
            leave(f"the stop takes longer than {longest_s:g} s")


def leave(why: str) -> NoReturn:
    """End the process without waiting for any thread; what was synced is kept."""
    logger.critical("%s: the process ends without waiting for what hangs", why)
    os._exit(1)


async def closed(close: Callable[[], None], stalled: Callable[[], bool]) -> bool:
    """Call what blocks, and wait for it unless it hangs.

    Parameters
    ----------
    close
        Runs on another thread, which is left behind when it hangs.
    stalled
        Whether it does.

    Returns
    -------
    False when it was left behind.
    """
    closing = asyncio.create_task(asyncio.to_thread(close))
    while not closing.done():
        if stalled():
            return False
        await asyncio.wait({closing}, timeout=_LOOKS_S)
    await closing
    return True
