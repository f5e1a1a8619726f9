"""The worker of one device: takes the most urgent jobs and runs the engines on them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from appliance.inference.queue import InferenceQueue, Job
from appliance.inference.slab_inference import Failure, Outcome, SlabInference
from appliance.inference.yielding import give_way

#: How long the worker sleeps at most before it shows that it is alive, s.
_HEARTBEAT_S = 1.0
#: So many slabs that fail one after the other are the fault of the engines.
_MANY_FAILURES = 16


class InferenceWorker(threading.Thread):
    """Runs the engines of one device on a thread of its own.

    Parameters
    ----------
    inference
        Warm engines and the pixels they work on.
    queue
        What to infer.
    deliver
        Receives each outcome, on the worker's thread.
    observe_batch
        Receives the seconds and the number of slabs of each batch.
    """

    def __init__(
        self,
        inference: SlabInference,
        queue: InferenceQueue,
        deliver: Callable[[Outcome], None],
        observe_batch: Callable[[float, int], None] = lambda seconds, slabs: None,
    ) -> None:
        super().__init__(name="inference", daemon=True)
        self._inference, self._queue = inference, queue
        self._deliver, self._observe = deliver, observe_batch
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
        while not self._stopping.is_set():
            self._last_heartbeat = time.monotonic()
            jobs = self._queue.take(self._inference.batch, _HEARTBEAT_S)
            if jobs:
                self._work(jobs)

    def stop(self, timeout_s: float = 10.0) -> None:
        """Finish the batch in hand and end the thread."""
        self._stopping.set()
        self._queue.close()
        self.join(timeout_s)

    def _work(self, jobs: Sequence[Job]) -> None:
        started = time.monotonic()
        for outcome in self._inference.outcomes(jobs):
            failed = isinstance(outcome, Failure)
            self._failures_in_a_row = self._failures_in_a_row + 1 if failed else 0
            self._deliver(outcome)
        self._observe(time.monotonic() - started, len(jobs))
