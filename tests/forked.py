"""Processes forked from one that has read all the code already.

Each is a process of its own, and is killed for real; only the seconds that Python and the
libraries take to be imported are spent once.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from io import TextIOWrapper
from multiprocessing.connection import Connection, wait
from pathlib import Path

import appliance.cli.main
import appliance.cli.serve
import appliance.running
from appliance import failpoints
from tests.box import Box

_context = multiprocessing.get_context("forkserver")
# What a daemon imports only when it loads its engines is read last, as there.
_context.set_forkserver_preload(["tests.forked", "openvino"])
#: A look at one process looks at all that this one started, and only one thread may look at once.
_looking = threading.Lock()


class Forked:
    """A process that runs a function; it is ended with this one.

    Parameters
    ----------
    run
        Called with the end of a pipe to write to, and `arguments`.
    """

    def __init__(self, run: Callable[..., None], *arguments: object) -> None:
        self.hears, told = _context.Pipe(duplex=False)
        self._process = _context.Process(target=run, args=(told, *arguments), daemon=True)
        with _looking:
            self._process.start()
        told.close()
        self.pid: int = self._process.pid or 0

    def poll(self) -> int | None:
        """Its exit status; None while it runs."""
        with _looking:
            return self._process.exitcode

    def send_signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):  # it ended this very moment
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout_s: float) -> int:
        """Wait for its end; returns its exit status."""
        assert self.ends_within(timeout_s), "it does not end"
        status = self.poll()
        assert status is not None
        return status

    def ends_within(self, timeout_s: float) -> bool:
        """Whether it ends by then."""
        wait([self._process.sentinel], timeout_s)
        return self.poll() is not None


class ForkedBox(Box):
    """As :class:`tests.box.Box`, for tests that start it again and again."""

    def _start(self, arguments: list[str]) -> tuple[Forked, TextIOWrapper]:
        process = Forked(_run, arguments, dict(os.environ), self.log.name)
        return process, open(os.dup(process.hears.fileno()))  # noqa: PTH123


def _run(told: Connection, arguments: list[str], environment: dict[str, str], log: str) -> None:
    """What the process does: the command, with its output where the test reads it."""
    os.dup2(told.fileno(), 1)
    with Path(log).open("ab") as file:
        os.dup2(file.fileno(), 2)
    os.environ.clear()
    os.environ.update(environment)
    failpoints.arm(environment.get(failpoints.VARIABLE, ""))
    sys.exit(appliance.cli.main.main(arguments))
