"""A daemon from its start until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Coroutine
from typing import Any

from appliance.config import Config
from appliance.daemon import CLOSING_S, Addresses, Daemon
from appliance.live.memory import put_start_aside, share_places
from appliance.notify import ServiceManager
from appliance.stopping import LastResort, leave

logger = logging.getLogger(__name__)


def run(config: Config, *, ready: Callable[[Addresses], None] | None = None) -> None:
    """Run a daemon until SIGINT or SIGTERM.

    Parameters
    ----------
    config
        Port 0 picks a free port.
    ready
        Called once every engine is warm and scans are served.

    Raises
    ------
    ModelError, RuntimeUnavailableError
        When the models cannot be served.
    StorageError
        When the state folder cannot be used.
    OSError
        When an address cannot be bound.
    ValueError
        When the service manager's variables in the environment are wrong.
    """
    share_places()
    last_resort = LastResort()
    asyncio.run(_run_until_signalled(config, ready, last_resort))
    last_resort.disarm()


async def _run_until_signalled(
    config: Config, ready: Callable[[Addresses], None] | None, last_resort: LastResort
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def told() -> None:
        if not stop.is_set():
            last_resort.arm(config.server.shutdown_grace_s + CLOSING_S)
            stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told)
    daemon = Daemon(config, ServiceManager.from_environment())
    try:
        addresses = await _unless(stop, daemon.start())
        put_start_aside()
        if ready and addresses:
            ready(addresses)
        await stop.wait()
        logger.info("stopping")
    finally:
        await daemon.stop()
        if daemon.left_behind:
            leave("the disk hangs")


async def _unless(stop: asyncio.Event, start: Coroutine[Any, Any, Addresses]) -> Addresses | None:
    """What `start` returns; None when it is to stop first."""
    starting, stopping = asyncio.create_task(start), asyncio.create_task(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if starting.done():
        return await starting
    starting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await starting
    return None
