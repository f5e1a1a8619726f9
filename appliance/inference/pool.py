"""The devices that infer and their workers, which share one queue.

A device that is lost hands its jobs to the others; when it was the last one, the
fallback is loaded and takes over. A device that was lost stays so until the daemon
is started again: the CUDA state of a process does not recover.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from appliance.inference.devices import Device
from appliance.inference.parts import LungDivision
from appliance.inference.planes import PlaneStore
from appliance.inference.serving import DeviceState, DeviceStatus, Serving
from appliance.inference.slab_inference import SlabInference
from appliance.inference.tasks import DeviceInference, Task, TaskOutcome, TaskQueue
from appliance.inference.worker import InferenceWorker
from appliance.scan.verdicts import Notice, NoticeReason
from engines.divider import Divider
from engines.runtimes import DeviceError
from engines.segmenter import Segmenter
from engines.warm_up import Engine

logger = logging.getLogger(__name__)

#: How long a stop waits for the batches in hand, of all workers together, s.
_STOP_S = 10.0


@dataclass(slots=True, eq=False)
class _Place:
    """A device, its state, its engines while it serves, and its worker."""

    device: Device
    state: DeviceState = DeviceState.LOADING
    segmenter: Segmenter | None = None
    dividers: Sequence[Divider] = ()
    worker: InferenceWorker | None = None
    reason: str = ""


class DevicePool:
    """Every device that infers. `load`, `start`, then `stop`; safe from any thread.

    Parameters
    ----------
    devices
        Equal ones.
    fallback
        Is loaded when every device is lost.
    queue
        What to infer.
    """

    def __init__(
        self, devices: Sequence[Device], fallback: Device | None, queue: TaskQueue
    ) -> None:
        self._places = [_Place(device) for device in devices]
        self._fallback, self._queue = fallback, queue
        self._lock = threading.RLock()
        self._stopping = False
        self.serving = Serving()

    # -- the life of the pool

    def load(self) -> None:
        """Warm the engines of every device, one after the other.

        Raises
        ------
        ModelError, RuntimeUnavailableError
            When the models cannot be served.
        DeviceError
            When every device is lost and nothing takes over.
        """
        lost: list[tuple[_Place, DeviceError]] = []
        for place in self._places:
            try:
                self._warm(place)
            except DeviceError as error:
                place.state = DeviceState.LOST
                lost.append((place, error))
        if not self._at_work():
            if self._fallback is None:
                raise lost[-1][1]
            self._warm(self._take_fallback(self._fallback))
        for place, why in lost:
            self._mark_lost(place, why)

    def start(
        self,
        planes: PlaneStore,
        deliver: Callable[[TaskOutcome], None],
        observe_batch: Callable[[float, int], None] = lambda seconds, slabs: None,
    ) -> None:
        """Let every device that was loaded work; see :class:`InferenceWorker`."""
        self._planes, self._deliver, self._observe = planes, deliver, observe_batch
        with self._lock:
            for place in self._at_work():
                self._start_worker(place)

    def stop(self) -> None:
        """Finish the batches in hand and end the workers."""
        with self._lock:
            self._stopping = True
            workers = [place.worker for place in self._places if place.worker]
        for worker in workers:
            worker.stop()
        self._queue.close()
        until = time.monotonic() + _STOP_S
        for worker in workers:
            worker.join(max(0.0, until - time.monotonic()))

    # -- how it is

    @property
    def devices(self) -> list[DeviceStatus]:
        with self._lock:
            return [_status(place) for place in self._places]

    def beating(self, stall_s: float) -> bool:
        """False when a worker that should live hangs or died, or none is left.

        Parameters
        ----------
        stall_s
            A batch that takes longer hangs, s.
        """
        return self._all_workers(lambda worker: worker.beating(stall_s))

    def healthy(self, stall_s: float) -> bool:
        """False when it does not beat, or a worker only fails."""
        return self._all_workers(lambda worker: worker.healthy(stall_s))

    def _all_workers(self, well: Callable[[InferenceWorker], bool]) -> bool:
        with self._lock:
            workers = [place.worker for place in self._at_work()]
        return bool(workers) and all(worker is not None and well(worker) for worker in workers)

    # -- inside

    def _at_work(self) -> list[_Place]:
        return [place for place in self._places if place.state is not DeviceState.LOST]

    def _warm(self, place: _Place) -> Segmenter:
        segmenter, dividers = place.device.load(), place.device.load_dividers()
        with self._lock:
            place.segmenter, place.dividers = segmenter, dividers
            place.state = DeviceState.SERVING
            self._renew()
        return segmenter

    def _start_worker(self, place: _Place) -> None:
        def load() -> DeviceInference:
            segmenter = place.segmenter or self._warm(place)
            return self._inference(segmenter, place.dividers)

        place.worker = InferenceWorker(
            place.device.name,
            load,
            self._queue,
            self._deliver,
            partial(self._lose, place),
            self._observe,
        )
        place.worker.start()

    def _inference(self, segmenter: Segmenter, dividers: Sequence[Divider]) -> DeviceInference:
        planes, size = self._planes, segmenter.lung.size
        division = LungDivision(dividers, planes, segmenter.prepare, size)
        return DeviceInference(SlabInference(segmenter, planes), division)

    def _lose(self, place: _Place, jobs: Sequence[Task], error: Exception) -> None:
        """A worker's last word. What others infer of its jobs comes after the loss is known."""
        with self._lock:
            self._mark_lost(place, error)
            if self._fallback and not (self._at_work() or self._stopping):
                self._start_worker(self._take_fallback(self._fallback))
        self._queue.give_back(jobs)

    def _mark_lost(self, place: _Place, error: Exception) -> None:
        with self._lock:
            place.state, place.reason = DeviceState.LOST, str(error)
            place.segmenter, place.dividers = None, ()
            left = [other.device.name for other in self._at_work()]
            if self._fallback and not left:
                left = [self._fallback.name]
            successors = " and ".join(left)
            logger.error(
                "device %s is lost, %s takes over: %s",
                place.device.name,
                successors or "nothing",
                error,
            )
            self._renew(_notice(place.device.name, successors))

    def _take_fallback(self, fallback: Device) -> _Place:
        place, self._fallback = _Place(fallback), None
        self._places.append(place)
        return place

    def _renew(self, *notices: Notice) -> None:
        served = [_engines(place) for place in self._places if place.segmenter]
        engines = served[0] if served else self.serving.engines
        self.serving = Serving(engines, (*self.serving.notices, *notices))


def _engines(place: _Place) -> Mapping[str, Engine]:
    """By model name."""
    engines = dict(place.segmenter.engines) if place.segmenter else {}
    engines |= {divider.engine.spec.name: divider.engine for divider in place.dividers}
    return engines


def _status(place: _Place) -> DeviceStatus:
    words = place.reason
    if place.segmenter:
        words = next(iter(place.segmenter.engines.values())).device
    return DeviceStatus(place.device.name, place.state, words)


def _notice(lost: str, successors: str) -> Notice:
    since = f"comes from {successors}" if successors else "waits for a restart"
    return Notice(
        NoticeReason.DEVICE_LOST,
        f"The inference device {lost} was lost; what was inferred since then {since}.",
    )
