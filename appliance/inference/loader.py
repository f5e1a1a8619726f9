"""The thread that loads engines, while the daemon starts and while it serves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from appliance.inference.yielding import give_way
from engines.stopping import LoadStoppedError, stoppable

P = ParamSpec("P")
R = TypeVar("R")


class EngineLoader:
    """Loads on one thread that gives way, so that the engines' own threads do too."""

    def __init__(self) -> None:
        self._told = threading.Event()
        self._threads = ThreadPoolExecutor(1, "engine-loader", initializer=give_way)

    async def run(self, load: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """What `load` returns, or raises.

        Raises
        ------
        LoadStoppedError
            When it was told to stop.
        """

        def stopping_when_told() -> R:
            with stoppable(self._told):
                return load(*args, **kwargs)

        if self._told.is_set():
            raise LoadStoppedError("loading was told to stop")
        return await asyncio.get_running_loop().run_in_executor(self._threads, stopping_when_told)

    def close(self) -> None:
        """Tell the thread to stop, and wait for it no longer; the process does."""
        self._told.set()
        self._threads.shutdown(wait=False)
