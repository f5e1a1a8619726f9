"""What the service manager is told: the protocol of systemd.

One datagram of KEY=VALUE lines goes to the Unix socket that the environment names. Where it
names none, nobody asked, and nothing is told.

References
----------
sd_notify(3), sd_watchdog_enabled(3).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Self

logger = logging.getLogger(__name__)

#: Between two words of a daemon that nobody watches, s.
_UNWATCHED_S = 10.0
#: A start gets so much more time, again and again, s.
_EXTENSION_S = 30.0
#: A start that takes longer than this gets no more: it hangs, s.
_LONGEST_START_S = 1800.0
#: What a send may cost when the service manager does not read, s.
_SEND_TIMEOUT_S = 1.0


@dataclass(frozen=True, slots=True)
class ServiceManager:
    """Whoever started this process, as far as it wants to know how the process goes.

    Parameters
    ----------
    address
        Path of its socket, or "@" and an abstract name; None: it does not want to know.
    watchdog_s
        It restarts a process that is silent for longer, s; None: never.
    """

    address: str | None = None
    watchdog_s: float | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """As NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID say.

        Raises
        ------
        ValueError
            When one of them is not what the protocol says; the message names it.
        """
        address = environment.get("NOTIFY_SOCKET") or None
        if address and address[0] not in "/@":
            raise ValueError(f"NOTIFY_SOCKET is {address!r}, neither a path nor an abstract name")
        watched = _number(environment, "WATCHDOG_PID") in (None, os.getpid())
        watchdog_us = _number(environment, "WATCHDOG_USEC") if watched else None
        return cls(address, watchdog_us / 1e6 if watchdog_us else None)

    @property
    def interval_s(self) -> float:
        """How often it is told that all is well: twice in the watchdog's time, s."""
        return self.watchdog_s / 2 if self.watchdog_s else _UNWATCHED_S

    def starting(self, status: str, extension_s: float) -> None:
        """The start needs up to `extension_s` more from now."""
        self._tell(STATUS=status, EXTEND_TIMEOUT_USEC=_microseconds(extension_s))

    def ready(self, status: str) -> None:
        self._tell(READY="1", STATUS=status)

    def serving(self, status: str, *, alive: bool) -> None:
        """How it goes; the watchdog hears of it only from a process that is alive."""
        beat = {"WATCHDOG": "1"} if alive and self.watchdog_s else {}
        self._tell(STATUS=status, **beat)

    def stopping(self, longest_s: float) -> None:
        """The stop takes up to `longest_s` from now."""
        extension = _microseconds(longest_s)
        self._tell(STOPPING="1", STATUS="Stopping", EXTEND_TIMEOUT_USEC=extension)

    def _tell(self, **words: str) -> None:
        if self.address is None:
            return
        message = "\n".join(f"{key}={value}" for key, value in words.items())
        address = "\0" + self.address[1:] if self.address[0] == "@" else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                channel.settimeout(_SEND_TIMEOUT_S)
                channel.sendto(message.encode(), address)
        except OSError as error:
            logger.warning("the service manager cannot be told %s: %s", [*words], error)


@contextlib.asynccontextmanager
async def more_time(manager: ServiceManager, status: str) -> AsyncIterator[None]:
    """While the block runs, the start is not timed out; but not for ever."""

    async def extend() -> None:
        deadline = time.monotonic() + _LONGEST_START_S
        while time.monotonic() < deadline:
            manager.starting(status, _EXTENSION_S)
            await asyncio.sleep(_EXTENSION_S / 3)

    extending = asyncio.create_task(extend())
    try:
        yield
    finally:
        extending.cancel()


async def keep_told(
    manager: ServiceManager, alive: Callable[[], bool], status: Callable[[], str]
) -> None:
    """Say how it goes, again and again; a watchdog restarts what is not alive."""
    while True:
        manager.serving(status(), alive=alive())
        await asyncio.sleep(manager.interval_s)


def _number(environment: Mapping[str, str], name: str) -> int | None:
    text = environment.get(name)
    if not text:
        return None
    if not text.isdecimal():
        raise ValueError(f"{name} is {text!r}, not a number")
    return int(text)


def _microseconds(seconds: float) -> str:
    return str(round(seconds * 1e6))
