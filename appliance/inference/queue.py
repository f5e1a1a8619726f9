"""The one queue of all scans: most urgent first, then first come, first served."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from appliance.inference.editions import NO_MODELS, Edition
from appliance.scan.geometry import SliceGeometry
from appliance.scan.slabs import Slab

#: Replaced jobs that may lie in the heap before they are cleared out.
_SLACK = 64


class Work(Protocol):
    """What can be queued: a slab, or something else about a scan.

    Parameters
    ----------
    scan_id, urgency, generation
        See :class:`Job`.
    target
        Its name among the work of its scan; the newer of two with one name replaces the other.
    """

    @property
    def scan_id(self) -> str: ...

    @property
    def target(self) -> str: ...

    @property
    def urgency(self) -> int: ...

    @property
    def generation(self) -> int: ...


W = TypeVar("W", bound=Work)


@dataclass(frozen=True, slots=True)
class Job:
    """One slab to infer.

    Parameters
    ----------
    scan_id
        The scan it belongs to.
    slab
        What to infer.
    geometry
        Of the target slice.
    urgency
        Larger is served first.
    generation
        Tells a scan from an earlier run of itself, whose late results do not count.
    edition
        The models that infer it.
    """

    scan_id: str
    slab: Slab
    geometry: SliceGeometry
    urgency: int = 0
    generation: int = 0
    edition: Edition = NO_MODELS

    @property
    def target(self) -> str:
        """The slice that the slab is about."""
        return self.slab.target


class InferenceQueue(Generic[W]):
    """Jobs of all scans. Safe to use from any thread.

    A job replaces an earlier one of the same scan and target, so the queue is
    bounded by the slices of the open scans.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._heap: list[tuple[int, int, W]] = []
        self._newest: dict[tuple[str, str], W] = {}
        self._order = itertools.count()
        self._closed = False

    def __len__(self) -> int:
        return len(self._newest)

    def put(self, job: W) -> None:
        with self._changed:
            self._newest[job.scan_id, job.target] = job
            heapq.heappush(self._heap, (-job.urgency, next(self._order), job))
            if len(self._heap) > _SLACK + 2 * len(self._newest):
                self._drop_replaced()
            self._changed.notify()

    def give_back(self, jobs: Sequence[W]) -> None:
        """Jobs that were taken and not inferred: the first to be taken again of their urgency.

        One that was replaced meanwhile is dropped.
        """
        with self._changed:
            for job in () if self._closed else reversed(jobs):
                key = (job.scan_id, job.target)
                if key not in self._newest:
                    self._newest[key] = job
                    heapq.heappush(self._heap, (-job.urgency, -next(self._order), job))
            self._changed.notify_all()

    def take(self, most: int, timeout_s: float | None = None) -> list[W]:
        """The most urgent jobs, of whatever scans, at most `most`.

        Waits for the first one; an empty list means the timeout passed or the
        queue was closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._newest or self._closed, timeout_s)
            jobs: list[W] = []
            while self._heap and len(jobs) < most:
                job = heapq.heappop(self._heap)[2]
                if self._newest.get((job.scan_id, job.target)) is job:
                    del self._newest[job.scan_id, job.target]
                    jobs.append(job)
            return jobs

    def _drop_replaced(self) -> None:
        self._heap = [
            entry
            for entry in self._heap
            if self._newest.get((entry[2].scan_id, entry[2].target)) is entry[2]
        ]
        heapq.heapify(self._heap)

    def forget(self, scan_id: str) -> None:
        """Drop the jobs of a scan."""
        with self._changed:
            for key in [key for key in self._newest if key[0] == scan_id]:
                del self._newest[key]
            self._drop_replaced()

    def close(self) -> None:
        """Wake the workers for good; jobs that are left are never taken."""
        with self._changed:
            self._closed = True
            self._heap.clear()
            self._newest.clear()
            self._changed.notify_all()
