"""The process that builds a plan: the task comes pickled on stdin, :data:`News` go to stdout.

It ends with its parent, whose signals it leaves to the parent.
"""

from __future__ import annotations

import ctypes
import logging
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable

from engines.artefacts import ModelError
from engines.runtimes.base import RuntimeUnavailableError
from engines.runtimes.tensorrt.apart import News
from engines.runtimes.tensorrt.building import Order, build_plan
from engines.runtimes.tensorrt.flavours import Flavour

_PR_SET_PDEATHSIG = 1  # prctl(2)


class _Telling(logging.Handler):
    """Passes what is logged on to the parent."""

    def __init__(self, tell: Callable[[News], None]) -> None:
        super().__init__()
        self._pass = tell

    def emit(self, record: logging.LogRecord) -> None:
        self._pass(("log", record.levelno, record.getMessage()))


def main(parent: int) -> None:
    """Build what stdin says, unless the parent is gone already."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == parent:
        flavour, order, timings = pickle.load(sys.stdin.buffer)
        _build(flavour, order, timings, _telling())


def _telling() -> Callable[[News], None]:
    """Tells the parent, from any thread; all that is printed goes to stderr from now on."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    lock = threading.Lock()

    def tell(news: News) -> None:
        with lock:
            pickle.dump(news, out)
            out.flush()

    return tell


def _build(flavour: Flavour, order: Order, timings: bytes, tell: Callable[[News], None]) -> None:
    logging.basicConfig(level=logging.INFO, handlers=[_Telling(tell)])
    try:
        tell(("plan", *build_plan(flavour, order, lambda phase: tell(("phase", phase)), timings)))
    except (ModelError, RuntimeUnavailableError) as error:
        tell(("error", error))


if __name__ == "__main__":
    main(int(sys.argv[1]))
