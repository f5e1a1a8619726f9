"""A build in a process of its own, which can be ended at once and whose crash is a failed build.

A library that builds cannot be interrupted for long stretches, and what it needed of the GPU
is free again only when its process is gone. What the child does is in
:mod:`engines.runtimes.tensorrt.child`.
"""

from __future__ import annotations

import logging
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from engines.runtimes.tensorrt.building import BuildError, Order
from engines.runtimes.tensorrt.flavours import Flavour
from engines.stopping import check_stop

logger = logging.getLogger(__name__)

#: What the child tells: ("phase", name), ("log", level, message), ("error", exception), and at
#: the end ("plan", plan, timings).
News = tuple[object, ...]
#: How long a stop goes unnoticed at most, s.
_GLANCE_S = 0.1
_CHILD = "engines.runtimes.tensorrt.child"


def build_apart(
    flavour: Flavour,
    order: Order,
    tell: Callable[[str], None],
    timings: bytes = b"",
    gpu: int | None = None,
) -> tuple[bytes, bytes]:
    """Build a plan as :func:`build_plan` does, in a child that ends with this process.

    Parameters
    ----------
    gpu
        The ordinal of the only GPU that the child sees; None where it builds ahead of time.

    Raises
    ------
    BuildError
        When the network cannot be parsed or built, or the child crashes.
    RuntimeUnavailableError
        When the library cannot be loaded.
    LoadStoppedError
        When this thread is to load no further.
    """
    with _child(gpu) as child:
        news = _news_of(child, (flavour, order, timings))
        while True:
            check_stop()
            try:
                item = news.get(timeout=_GLANCE_S)
            except queue.Empty:
                continue
            match item:
                case ("phase", str(phase)):
                    tell(phase)
                case ("log", int(level), str(message)):
                    logger.log(level, "%s", message)
                case ("error", Exception() as error):
                    raise error
                case ("plan", bytes(plan), bytes(found)):
                    return plan, found
                case None:
                    raise BuildError(f"{order.title}: {flavour.name} {_end(child)}")


def visible_gpu(ordinal: int) -> str:
    """CUDA_VISIBLE_DEVICES that shows one of the GPUs that this process sees, and no other."""
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    return str(ordinal) if shown is None else shown.split(",")[ordinal].strip()


@contextmanager
def _child(gpu: int | None) -> Iterator[subprocess.Popen[bytes]]:
    """A process with the modules of this one; killed at the end. Ctrl-C does not reach it."""
    modules = os.pathsep.join(place or str(Path.cwd()) for place in sys.path)
    environment = {**os.environ, "PYTHONPATH": modules}
    if gpu is not None:
        environment["CUDA_VISIBLE_DEVICES"] = visible_gpu(gpu)
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", _CHILD, str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        start_new_session=True,
    )
    try:
        yield child
    finally:
        child.kill()
        child.wait()


def _news_of(child: subprocess.Popen[bytes], task: object) -> queue.SimpleQueue[News | None]:
    """What the child tells of its task, then None; read on a thread, for pipes cannot wait."""
    news: queue.SimpleQueue[News | None] = queue.SimpleQueue()

    def talk() -> None:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            with child.stdin as given, child.stdout as told:
                pickle.dump(task, given)
                given.flush()
                while True:
                    news.put(pickle.load(told))
        except (EOFError, OSError, pickle.UnpicklingError):
            news.put(None)

    threading.Thread(target=talk, name="build", daemon=True).start()
    return news


def _end(child: subprocess.Popen[bytes]) -> str:
    status = child.wait()
    if status < 0:
        return f"crashed while it built: {signal.Signals(-status).name}"
    return f"ended while it built, with status {status}"
