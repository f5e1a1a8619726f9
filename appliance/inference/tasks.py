"""All that the worker of a device does: slabs, and the parts of complete scans."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.inference.parts import Divided, LungDivision, PartsJob
from appliance.inference.queue import InferenceQueue, Job
from appliance.inference.slab_inference import Outcome, SlabInference

Task = Job | PartsJob
TaskOutcome = Outcome | Divided
TaskQueue = InferenceQueue[Task]


class DeviceInference:
    """Runs what a device is asked, on the caller's thread.

    Parameters
    ----------
    slabs
        Infers slabs.
    division
        Divides scans.
    """

    def __init__(self, slabs: SlabInference, division: LungDivision) -> None:
        self._slabs, self._division = slabs, division

    @property
    def batch(self) -> int:
        """The largest number of tasks worked on at once."""
        return self._slabs.batch

    def outcomes(self, tasks: Sequence[Task]) -> list[TaskOutcome]:
        """What became of each task, except those of forgotten scans.

        Raises
        ------
        DeviceError
            When the device is lost: no task is answered then.
        """
        jobs = [task for task in tasks if isinstance(task, Job)]
        found: list[TaskOutcome] = list(self._slabs.outcomes(jobs)) if jobs else []
        for task in tasks:
            if isinstance(task, PartsJob):
                found += self._division.outcomes(task)
        return found
