"""The worker of one device: takes the most urgent jobs and runs the engines on them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from appliance.failpoints import hit
from appliance.inference.parts import PartsJob
from appliance.inference.slab_inference import Failure
from appliance.inference.tasks import EditionsInference, Task, TaskOutcome, TaskQueue
from appliance.inference.yielding import give_way
from engines.runtimes import DeviceError

logger = logging.getLogger(__name__)

#: How long the worker sleeps at most before it shows that it is alive, s.
_HEARTBEAT_S = 1.0
#: So many slabs that fail one after the other are the fault of the engines.
_MANY_FAILURES = 16


class InferenceWorker(threading.Thread):
    """Runs the engines of one device on a thread of its own, until the device is lost.

    Parameters
    ----------
    device
        Its short name.
    load
        Answers with warm engines and the pixels they work on, on the worker's thread.
    queue
        What to infer.
    deliver
        Receives each outcome, on the worker's thread.
    lost
        Receives the jobs that were in hand and why, when the device is lost or cannot be
        loaded; the worker's last word.
    observe_batch
        Receives the seconds and the number of slabs of each batch of slabs alone.
    """

    def __init__(
        self,
        device: str,
        load: Callable[[], EditionsInference],
        queue: TaskQueue,
        deliver: Callable[[TaskOutcome], None],
        lost: Callable[[Sequence[Task], Exception], None],
        observe_batch: Callable[[float, int], None] = lambda seconds, slabs: None,
    ) -> None:
        super().__init__(name=f"inference {device}", daemon=True)
        self._load, self._queue = load, queue
        self._deliver, self._lost, self._observe = deliver, lost, observe_batch
        self._stopping = threading.Event()
        self._last_heartbeat = time.monotonic()
        self._failures_in_a_row = 0

    def beating(self, stall_s: float) -> bool:
        """False when the thread died or hangs in a batch: only a restart helps.

        Parameters
        ----------
        stall_s
            A batch that takes longer hangs, s.
        """
        return self.is_alive() and time.monotonic() - self._last_heartbeat < stall_s

    def healthy(self, stall_s: float) -> bool:
        """False when it does not beat, or only fails."""
        return self.beating(stall_s) and self._failures_in_a_row < _MANY_FAILURES

    def run(self) -> None:
        give_way()
        try:
            inference = self._load()
        except Exception as error:
            logger.exception("the engines cannot be loaded")
            self._lost((), error)
            return
        while not self._stopping.is_set():
            self._last_heartbeat = time.monotonic()
            jobs = self._queue.take(inference.batch, _HEARTBEAT_S)
            try:
                self._work(inference, jobs)
            except DeviceError as error:
                self._lost(jobs, error)
                return

    def stop(self) -> None:
        """End the thread once the batch in hand is done."""
        self._stopping.set()

    def _work(self, inference: EditionsInference, jobs: Sequence[Task]) -> None:
        if not jobs:
            return
        hit("queue.take")
        started = time.monotonic()
        for outcome in inference.outcomes(jobs):
            failed = isinstance(outcome, Failure)
            self._failures_in_a_row = self._failures_in_a_row + 1 if failed else 0
            self._deliver(outcome)
        if not any(isinstance(job, PartsJob) for job in jobs):
            self._observe(time.monotonic() - started, len(jobs))
