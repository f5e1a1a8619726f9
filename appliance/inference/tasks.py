"""All that the worker of a device does: slabs, and the lobes of complete scans."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.inference.lobes import LobeDivision, LobeJob, LobeOutcome, LobesFailed
from appliance.inference.queue import InferenceQueue, Job
from appliance.inference.slab_inference import Outcome, SlabInference

Task = Job | LobeJob
TaskOutcome = Outcome | LobeOutcome
TaskQueue = InferenceQueue[Task]


class DeviceInference:
    """Runs what a device is asked, on the caller's thread.

    Parameters
    ----------
    slabs
        Infers slabs.
    lobes
        Divides scans; None where there is no lobes model.
    """

    def __init__(self, slabs: SlabInference, lobes: LobeDivision | None = None) -> None:
        self._slabs, self._lobes = slabs, lobes

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
            if isinstance(task, LobeJob):
                found += self._divided(task)
        return found

    def _divided(self, job: LobeJob) -> Sequence[LobeOutcome]:
        if self._lobes is None:
            return [LobesFailed(job, LookupError("no lobes model is loaded"))]
        return self._lobes.outcomes(job)
