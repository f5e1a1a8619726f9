"""Daemons that live shortly, and fail as they are told."""

from __future__ import annotations

import itertools
import os
import resource
import signal
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Self

import appliance.running
from appliance import failpoints
from appliance.config import Config
from tests.forked import Forked

_START_S = 60


def _live(
    told: Connection, state: str, repository: str, plan: str, settings: dict[str, object]
) -> None:
    """What the process does: log to a file, fail as planned, serve until it ends."""
    log = os.open(Path(state) / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 2)
    failpoints.arm(plan)
    step_s = settings.pop("clock_step_s", 0.0)
    if step_s:
        _step_clock(float(str(step_s)))
    ahead_s = settings.pop("clock_ahead_s", 0.0)
    if ahead_s:
        _set_clock(float(str(ahead_s)))
    if files := settings.pop("open_files", None):
        resource.setrlimit(
            resource.RLIMIT_NOFILE, files if isinstance(files, tuple) else (files, files)
        )
    config = Config.model_validate(
        {
            "server": {"listen": "127.0.0.1:0", "http": "127.0.0.1:0", "readers": 0},
            "storage": {"state_dir": state},
            "engine": {"repository": repository},
            **settings,
        }
    )
    appliance.running.run(config, ready=lambda found: told.send((found.grpc, found.http)))


def _step_clock(step_s: float) -> None:
    """Have the wall clock jump to and fro, as a time server's correction makes it."""
    real, calls = time.time, itertools.count()
    time.time = lambda: real() + (step_s if next(calls) // 5 % 2 else 0.0)


def _set_clock(ahead_s: float) -> None:
    """Have the wall clock wrong from the start, as after a battery failed."""
    real = time.time
    time.time = lambda: real() + ahead_s


class Life:
    """A daemon on free loopback ports; killed at the end of the block.

    Parameters
    ----------
    state
        Its state folder.
    plan
        How it is to fail (:mod:`appliance.failpoints`).
    settings
        Further tables of its configuration; `clock_step_s` makes its wall clock jump,
        `clock_ahead_s` has it wrong from the start;
        `open_files` limits those it may have open (or: may for now, and may ask for).
    """

    def __init__(self, state: Path, repository: Path, plan: str = "", **settings: object) -> None:
        state.mkdir(parents=True, exist_ok=True)
        self.state = state
        self.process = Forked(_live, str(state), str(repository), plan, settings)
        self.grpc = self.http = ""

    def ready(self) -> bool:
        """Wait until it serves; False when it died before."""
        try:
            assert self.process.hears.poll(_START_S), f"it does not start: {self.log_text()}"
            self.grpc, self.http = self.process.hears.recv()
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
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(30)
        self.process.hears.close()
        return status

    def log_text(self) -> str:
        return (self.state / "log").read_text(errors="replace")
