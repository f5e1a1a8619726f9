"""All that the worker of a device does: slabs, and the parts of complete scans."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from appliance.inference.editions import Edition
from appliance.inference.parts import Divided, LungDivision, PartsFailed, PartsJob
from appliance.inference.queue import InferenceQueue, Job
from appliance.inference.slab_inference import Failure, Outcome, SlabInference
from engines.runtimes import DeviceError

logger = logging.getLogger(__name__)

Task = Job | PartsJob
TaskOutcome = Outcome | Divided
TaskQueue = InferenceQueue[Task]


class DeviceInference:
    """Runs what a device is asked with one edition's engines, on the caller's thread.

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


class EditionsInference:
    """Runs each task with the engines of its edition, on the caller's thread.

    Parameters
    ----------
    batch
        The largest number of tasks worked on at once.
    inference_of
        The engines of an edition; None when no scan uses it any more. Raises DeviceError when
        the device fails; what else it raises costs only the tasks of this edition.
    """

    def __init__(
        self, batch: int, inference_of: Callable[[Edition], DeviceInference | None]
    ) -> None:
        self.batch, self._inference_of = batch, inference_of

    def outcomes(self, tasks: Sequence[Task]) -> list[TaskOutcome]:
        """What became of each task, as :meth:`DeviceInference.outcomes`."""
        found: list[TaskOutcome] = []
        for edition in dict.fromkeys(task.edition for task in tasks):
            found += self._outcomes(edition, [task for task in tasks if task.edition == edition])
        return found

    def _outcomes(self, edition: Edition, tasks: Sequence[Task]) -> list[TaskOutcome]:
        try:
            inference = self._inference_of(edition)
        except DeviceError:
            raise
        except Exception as error:
            logger.exception("the models %s cannot be loaded", edition)
            return [_failed(task, error) for task in tasks]
        return inference.outcomes(tasks) if inference else []


def _failed(task: Task, error: Exception) -> TaskOutcome:
    if isinstance(task, Job):
        return Failure(task, error)
    return Divided(task, tuple(PartsFailed(role, error) for role in task.roles))
