"""Loading that can be told to stop: it may build plans for minutes, and a daemon may not wait."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_told: ContextVar[threading.Event | None] = ContextVar("told to stop", default=None)


class LoadStoppedError(Exception):
    """Loading was told to stop."""


@contextmanager
def stoppable(told: threading.Event) -> Iterator[None]:
    """What is loaded inside, by this thread, gives up soon after `told` is set."""
    token = _told.set(told)
    try:
        yield
    finally:
        _told.reset(token)


def check_stop() -> None:
    """Raise LoadStoppedError when this thread is to load no further."""
    told = _told.get()
    if told is not None and told.is_set():
        raise LoadStoppedError("loading was told to stop")
