"""Daemons that live shortly: forked from a process that has read all the code already.

Each is a process of its own that is killed for real; only the seconds that Python and the
libraries take to be imported are spent once.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import signal
import threading
import time
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Self

import appliance.daemon
from appliance import failpoints
from appliance.config import Config

_START_S = 60
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.faults.lives"])
#: A look at one process looks at all that this one started, and only one thread may look at once.
_looking = threading.Lock()


def _live(
    state: str, repository: str, plan: str, settings: dict[str, object], told: Connection
) -> None:
    """What the process does: log to a file, fail as planned, serve until it ends."""
    log = os.open(Path(state) / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 2)
    failpoints.arm(plan)
    step_s = settings.pop("clock_step_s", 0.0)
    if step_s:
        _step_clock(float(str(step_s)))
    config = Config.model_validate(
        {
            "server": {"listen": "127.0.0.1:0", "http": "127.0.0.1:0", "readers": 0},
            "storage": {"state_dir": state},
            "engine": {"repository": repository},
            **settings,
        }
    )
    appliance.daemon.run(config, ready=lambda found: told.send((found.grpc, found.http)))


def _step_clock(step_s: float) -> None:
    """Have the wall clock jump to and fro, as a time server's correction makes it."""
    real, calls = time.time, itertools.count()
    time.time = lambda: real() + (step_s if next(calls) // 5 % 2 else 0.0)


class Life:
    """A daemon on free loopback ports; killed at the end of the block.

    Parameters
    ----------
    state
        Its state folder.
    plan
        How it is to fail (:mod:`appliance.failpoints`).
    settings
        Further tables of its configuration; `clock_step_s` makes its wall clock jump.
    """

    def __init__(self, state: Path, repository: Path, plan: str = "", **settings: object) -> None:
        state.mkdir(parents=True, exist_ok=True)
        self.state = state
        self._hears, told = _context.Pipe(duplex=False)
        arguments = (str(state), str(repository), plan, settings, told)
        self.process = _context.Process(target=_live, args=arguments, daemon=True)
        with _looking:
            self.process.start()
        told.close()
        self.grpc = self.http = ""

    def ready(self) -> bool:
        """Wait until it serves; False when it died before."""
        try:
            assert self._hears.poll(_START_S), f"it does not start: {self.log_text()}"
            self.grpc, self.http = self._hears.recv()
        except EOFError:
            return False
        return True

    def __enter__(self) -> Self:
        assert self.ready(), f"it ended in its start: {self.log_text()}"
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> int:
        """kill -9, unless it ended by itself; returns its exit status."""
        return self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM, as systemd does."""
        return self._end(signal.SIGTERM)

    def _end(self, number: int) -> int:
        with _looking:
            if self.process.is_alive() and self.process.pid:
                with contextlib.suppress(ProcessLookupError):  # it ended this very moment
                    os.kill(self.process.pid, number)
        wait([self.process.sentinel], 30)
        with _looking:
            status = self.process.exitcode
        assert status is not None, "it does not end"
        self._hears.close()
        return status

    def log_text(self) -> str:
        return (self.state / "log").read_text(errors="replace")
