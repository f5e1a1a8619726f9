"""The devices that infer and their workers, which share one queue.

A device that is lost hands its jobs to the others; when it was the last one, the
fallback is loaded and takes over. A device that was lost stays so until the daemon
is started again: the CUDA state of a process does not recover.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial

from appliance.inference.devices import Device, Loaded
from appliance.inference.editions import NO_MODELS, Edition
from appliance.inference.parts import LungDivision
from appliance.inference.places import Place, at_work, loss_notice
from appliance.inference.planes import PlaneStore
from appliance.inference.serving import DeviceState, DeviceStatus, Serving
from appliance.inference.shelf import Shelf
from appliance.inference.slab_inference import SlabInference
from appliance.inference.tasks import (
    DeviceInference,
    EditionsInference,
    Task,
    TaskOutcome,
    TaskQueue,
)
from appliance.inference.worker import InferenceWorker
from engines.runtimes import DeviceError

logger = logging.getLogger(__name__)

#: How long a stop waits for the batches in hand, of all workers together, s.
_STOP_S = 10.0


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
    edition
        What new scans get at first; see :class:`Shelf`.
    """

    def __init__(
        self,
        devices: Sequence[Device],
        fallback: Device | None,
        queue: TaskQueue,
        edition: Edition = NO_MODELS,
    ) -> None:
        self._places = [Place(device) for device in devices]
        self._fallback, self._queue = fallback, queue
        self.shelf = Shelf(self._places, edition)
        self._lock = self.shelf.lock
        self._stopping = False

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
        lost: list[tuple[Place, DeviceError]] = []
        for place in self._places:
            try:
                self._warm(place, self.shelf.edition)
            except DeviceError as error:
                place.state = DeviceState.LOST
                lost.append((place, error))
        if not at_work(self._places):
            if self._fallback is None:
                raise lost[-1][1]
            self._warm(self._take_fallback(self._fallback), self.shelf.edition)
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
            for place in at_work(self._places):
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
    def serving(self) -> Serving:
        """What infers new scans."""
        return self.shelf.serving_of(self.shelf.edition)

    @property
    def devices(self) -> list[DeviceStatus]:
        with self._lock:
            return [place.status for place in self._places]

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
            workers = [place.worker for place in at_work(self._places)]
        return bool(workers) and all(worker is not None and well(worker) for worker in workers)

    # -- inside

    def _warm(self, place: Place, edition: Edition) -> Loaded:
        loaded = place.device.load(edition.specs)
        with self._lock:
            place.state = DeviceState.SERVING
            self.shelf.keep(place, edition, loaded)
        return loaded

    def _start_worker(self, place: Place) -> None:
        def load() -> EditionsInference:
            edition = self.shelf.edition
            loaded = place.warm.get(edition) or self._warm(place, edition)
            return EditionsInference(loaded.segmenter.batch, partial(self._inference, place))

        place.worker = InferenceWorker(
            place.device.name,
            load,
            self._queue,
            self._deliver,
            partial(self._lose, place),
            self._observe,
        )
        place.worker.start()

    def _inference(self, place: Place, edition: Edition) -> DeviceInference | None:
        """The engines of an edition; a device that took over has not yet loaded those before."""
        with self._lock:
            loaded = place.warm.get(edition)
            if loaded is None and edition not in self.shelf.held:
                return None
        loaded = loaded or self._warm(place, edition)
        segmenter, planes = loaded.segmenter, self._planes
        size = segmenter.lung.size
        division = LungDivision(loaded.dividers, planes, segmenter.prepare, size)
        return DeviceInference(SlabInference(segmenter, planes), division)

    def _lose(self, place: Place, jobs: Sequence[Task], error: Exception) -> None:
        """A worker's last word. What others infer of its jobs comes after the loss is known."""
        with self._lock:
            self._mark_lost(place, error)
            if self._fallback and not (at_work(self._places) or self._stopping):
                self._start_worker(self._take_fallback(self._fallback))
        self._queue.give_back(jobs)

    def _mark_lost(self, place: Place, error: Exception) -> None:
        with self._lock:
            place.state, place.reason = DeviceState.LOST, str(error)
            left = [other.device.name for other in at_work(self._places)]
            if self._fallback and not left:
                left = [self._fallback.name]
            successors = " and ".join(left)
            logger.error(
                "device %s is lost, %s takes over: %s",
                place.device.name,
                successors or "nothing",
                error,
            )
            self.shelf.lose(place, loss_notice(place.device.name, successors))

    def _take_fallback(self, fallback: Device) -> Place:
        place, self._fallback = Place(fallback), None
        self._places.append(place)
        return place
