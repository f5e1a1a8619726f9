"""The worker of one device: takes the most urgent jobs and runs the engines on them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from appliance.inference.planes import ForgottenSliceError, Key, PlaneStore, frame_of
from appliance.inference.queue import InferenceQueue, Job
from appliance.inference.yielding import give_way
from appliance.quantify.tally import SliceTally, tally_slice
from appliance.scan.geometry import from_standard
from appliance.scan.masks import encode_runs
from engines.preprocess import Mask
from engines.segmenter import Segmenter, SegmentRequest, SliceMasks

logger = logging.getLogger(__name__)

#: How long the worker sleeps at most before it shows that it is alive, s.
_HEARTBEAT_S = 1.0
#: So many slabs that fail one after the other are the fault of the engines.
_MANY_FAILURES = 16


@dataclass(frozen=True, slots=True)
class Result:
    """What inference found on one slice; runs are those of `breathhold.v1.SliceMask`."""

    job: Job
    tally: SliceTally
    lesion_runs: tuple[int, ...]
    lung_runs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """A job that could not be inferred."""

    job: Job
    error: Exception


Outcome = Result | Failure


class InferenceWorker(threading.Thread):
    """Runs the engines of one device on a thread of its own.

    Parameters
    ----------
    segmenter
        Warm engines.
    queue, planes
        What to infer and its pixels.
    deliver
        Receives each outcome, on the worker's thread.
    observe_batch
        Receives the seconds and the number of slabs of each batch.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        queue: InferenceQueue,
        planes: PlaneStore,
        deliver: Callable[[Outcome], None],
        observe_batch: Callable[[float, int], None] = lambda seconds, slabs: None,
    ) -> None:
        super().__init__(name="inference", daemon=True)
        self._segmenter, self._queue, self._planes = segmenter, queue, planes
        self._deliver, self._observe = deliver, observe_batch
        self._stopping = threading.Event()
        self._last_heartbeat = time.monotonic()
        self._failures_in_a_row = 0

    def healthy(self, stall_s: float) -> bool:
        """False when the thread died, hangs in a batch, or only fails.

        Parameters
        ----------
        stall_s
            A batch that takes longer hangs, s.
        """
        silent_s = time.monotonic() - self._last_heartbeat
        return self.is_alive() and silent_s < stall_s and self._failures_in_a_row < _MANY_FAILURES

    def run(self) -> None:
        give_way()
        while not self._stopping.is_set():
            self._last_heartbeat = time.monotonic()
            jobs = self._queue.take(self._segmenter.batch, _HEARTBEAT_S)
            if jobs:
                self._work(jobs)

    def stop(self, timeout_s: float = 10.0) -> None:
        """Finish the batch in hand and end the thread."""
        self._stopping.set()
        self._queue.close()
        self.join(timeout_s)

    def _work(self, jobs: Sequence[Job]) -> None:
        started = time.monotonic()
        for outcome in self._outcomes(jobs):
            failed = isinstance(outcome, Failure)
            self._failures_in_a_row = self._failures_in_a_row + 1 if failed else 0
            self._deliver(outcome)
        self._observe(time.monotonic() - started, len(jobs))

    def _outcomes(self, jobs: Sequence[Job]) -> Sequence[Outcome]:
        """Results of a batch; when it fails, each job by itself, so that one costs only itself."""
        try:
            return self._infer(jobs)
        except Exception as error:
            if len(jobs) == 1:
                if isinstance(error, ForgottenSliceError):
                    return []
                logger.exception("inference of a slab failed")
                return [Failure(jobs[0], error)]
            if not isinstance(error, ForgottenSliceError):
                logger.warning("a batch of %d slabs failed, trying them one by one", len(jobs))
            return [outcome for job in jobs for outcome in self._outcomes([job])]

    def _infer(self, jobs: Sequence[Job]) -> list[Result]:
        keys = {(job.scan_id, uid) for job in jobs for uid in job.slab.planes}
        planes = self._planes.prepared(sorted(keys))
        requests = [
            SegmentRequest(
                job.slab.model,
                tuple(planes[job.scan_id, uid] for uid in job.slab.planes),
                frame_of(job.geometry),
            )
            for job in jobs
        ]
        found = self._segmenter.segment(requests)
        return [self._result(job, masks) for job, masks in zip(jobs, found, strict=True)]

    def _result(self, job: Job, masks: SliceMasks) -> Result:
        key: Key = (job.scan_id, job.slab.target)
        lung, lesion = _as_sent(masks.lung, job), _as_sent(masks.lesion, job)
        return Result(
            job,
            tally_slice(self._planes.hu(key), lung, lesion),
            tuple(encode_runs(lesion)),
            tuple(encode_runs(lung)),
        )


def _as_sent(mask: Mask, job: Job) -> Mask:
    return np.ascontiguousarray(from_standard(mask, job.geometry)).astype(np.bool_, copy=False)
