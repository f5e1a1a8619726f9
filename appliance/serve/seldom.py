"""Warnings that callers can cause as often as they like, said seldom."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

_EVERY_S = 60.0


class Seldom:
    """Says a warning, and the next one not before a minute has passed.

    Parameters
    ----------
    clock
        Seconds, monotonic.
    """

    def __init__(self, logger: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._logger, self._clock = logger, clock
        self._next = float("-inf")

    def warning(self, message: str, *arguments: object) -> None:
        now = self._clock()
        if now >= self._next:
            self._next = now + _EVERY_S
            self._logger.warning(message, *arguments)
