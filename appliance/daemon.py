"""The daemon: wires the rooms together and runs them, from start to graceful stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.access.audit import AuditTrail, Event
from appliance.access.rotation import follow_files
from appliance.access.tls import TlsFiles
from appliance.config import Config
from appliance.descriptors import raise_limit, share
from appliance.failpoints import warn_if_on
from appliance.followup.follow_ups import FollowUps
from appliance.followup.patients import SALT_NAME, PatientKeys, load_salt
from appliance.inference.devices import choose_devices, choose_fallback
from appliance.inference.editions import Edition
from appliance.inference.loader import EngineLoader
from appliance.inference.planes import PlaneStore
from appliance.inference.pool import DevicePool
from appliance.inference.queue import InferenceQueue
from appliance.inference.serving import DeviceState
from appliance.inference.tasks import TaskQueue
from appliance.ingest import IngestLimits
from appliance.ingest.acceleration import accelerate, gpu_accelerator, gpu_to_decode
from appliance.ingest.apart import ReaderPool
from appliance.live.board import Board
from appliance.live.gauges import show_gauges
from appliance.live.housekeeping import keep_house, look_through, take_up_again, watch_silence
from appliance.live.intake import Intake
from appliance.live.memory import give_back_when_idle
from appliance.live.models import ServedModels, chosen_specs
from appliance.live.reading import SliceReader
from appliance.live.room import watch_room
from appliance.live.saving import ReportSaving
from appliance.live.scans import LiveScans
from appliance.live.services import Services
from appliance.metrics import Metrics
from appliance.norms import load_norms
from appliance.notify import ServiceManager, keep_told, more_time
from appliance.scan.scan import ScanPolicy
from appliance.serve.grpc_side import GrpcSide
from appliance.serve.guard import Guard
from appliance.serve.http import HttpSide
from appliance.serve.listening import HttpPort, http_runner
from appliance.serve.page_guard import PageGuard
from appliance.stopping import closed
from appliance.storage.choices import CHOICES_NAME, Choices, load_choices
from appliance.storage.recovery import RESULTS_NAME, open_results
from appliance.storage.results import ResultsStore
from appliance.storage.spool import Spool
from engines.models import ModelSpec

logger = logging.getLogger(__name__)

#: What a stop takes at most beside the grace for scans: the batch in hand, and closing, s.
CLOSING_S = 20.0


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a daemon listens, each HOST:PORT."""

    grpc: str
    http: str


class Daemon:
    """Every room of a running appliance. `start`, then `stop`; use once.

    Parameters
    ----------
    manager
        Is told when scans are served, how it goes, and whether all is well; nobody by default.
    """

    def __init__(self, config: Config, manager: ServiceManager | None = None) -> None:
        self._config, self._manager = config, manager or ServiceManager()
        self._closing = contextlib.AsyncExitStack()
        self._serving = self._accelerated = self.left_behind = False
        self._stores: list[Spool | ResultsStore] = []
        self._loader = EngineLoader()
        self._devices = DevicePool([], None, InferenceQueue())

    async def start(self) -> Addresses:
        """Warm the engines, take up what the spool holds, then serve."""
        try:
            return await self._start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Tell callers, let complete scans end, close what is open; in reverse order of start."""
        self._serving = False
        self._manager.stopping(self._config.server.shutdown_grace_s + CLOSING_S)
        await self._closing.aclose()

    async def _start(self) -> Addresses:
        warn_if_on()
        self._most_files = raise_limit()
        storage = self._config.storage
        self._tls = TlsFiles(self._config.tls) if self._config.tls.certificate else None
        async with more_time(self._manager, "Starting: the results are looked through"):
            spool, results = await self._open_stores()
        salt = storage.patient_salt or storage.state_dir / SALT_NAME
        self._patient_keys = PatientKeys(load_salt(salt))
        repository = self._config.engine.repository
        choices = load_choices(self._choices_path, repository)
        specs = chosen_specs(repository, choices)
        self._norms = load_norms(self._config.scores)
        queue: TaskQueue = InferenceQueue()
        async with more_time(self._manager, "Starting: the engines warm up"):
            self._closing.callback(self._loader.close)
            readers = self._start_readers()  # import what they need meanwhile
            self._devices = await self._loader.run(self._loaded, specs, queue)
        self._accelerate_decoding()
        if self._accelerated and readers:
            readers.close()
            readers = None
        services, scans = self._scans(spool, results, queue, choices, readers)
        await scans.show_finished()
        self._in_background(watch_silence(scans, self._config.scan))
        self._in_background(keep_house(scans, services, storage))
        self._in_background(watch_room(spool, services.metrics, storage))
        self._in_background(take_up_again(scans, min(1.0, storage.retry_s)))
        self._in_background(give_back_when_idle(scans))
        self._in_background(look_through(results))
        known = self._config.access, bool(self._config.tls.client_ca), services.trail
        descriptors = share(self._most_files, self._config)
        http = await self._serve_http(services, PageGuard(*known), descriptors.http_below)
        side = GrpcSide(
            self._config.server,
            services,
            scans,
            lambda: self._healthy,
            Guard(*known, self._config.server),
            self._tls,
            connections=descriptors.grpc,
        )
        address = await side.start()
        self._closing.push_async_callback(side.stop)
        self._serving = True
        side.tell_health()
        self._in_background(side.watch_health())

        def status() -> str:
            return self._status(scans)

        self._manager.ready(status())
        services.trail.note(Event.STARTED)
        self._closing.callback(services.trail.note, Event.STOPPED)
        self._in_background(keep_told(self._manager, lambda: self._beating, status))
        return Addresses(address, http)

    async def _open_stores(self) -> tuple[Spool, ResultsStore]:
        storage = self._config.storage
        spool = await asyncio.to_thread(Spool, storage.state_dir, stall_s=storage.stall_s)
        self._closing.push_async_callback(self._close, spool)
        path = storage.state_dir / RESULTS_NAME
        results = await asyncio.to_thread(open_results, path, storage.busy_s, storage.stall_s)
        self._closing.push_async_callback(self._close, results)
        self._stores = [spool, results]
        return spool, results

    async def _close(self, store: Spool | ResultsStore) -> None:
        self.left_behind |= not await closed(store.close, lambda: store.stalled)

    def _loaded(self, specs: Sequence[ModelSpec], queue: TaskQueue) -> DevicePool:
        engine = self._config.engine
        devices = choose_devices(engine)
        fallback = choose_fallback(engine, specs, devices)
        pool = DevicePool(devices, fallback, queue, Edition.of(specs))
        pool.load()
        return pool

    @property
    def _choices_path(self) -> Path:
        return self._config.storage.state_dir / CHOICES_NAME

    def _accelerate_decoding(self) -> None:
        devices = self._devices.devices
        there = (device.name for device in devices if device.state is DeviceState.SERVING)
        gpu = gpu_to_decode(self._config.engine.decode, there)
        if gpu is not None:
            accelerator = gpu_accelerator(gpu)
            self._closing.push_async_callback(asyncio.to_thread, accelerator.close)
            accelerate(accelerator)
            self._accelerated = True
            self._closing.callback(accelerate, None)

    def _start_readers(self) -> ReaderPool | None:
        """Processes that read DICOM; not used where a GPU decodes, which is this process's."""
        wanted = self._config.server.readers
        processes = len(os.sched_getaffinity(0)) if wanted is None else wanted
        if not processes:
            return None
        readers = ReaderPool(processes, IngestLimits())
        self._closing.callback(readers.close)
        return readers

    def _scans(
        self,
        spool: Spool,
        results: ResultsStore,
        queue: TaskQueue,
        choices: Choices,
        readers: ReaderPool | None,
    ) -> tuple[Services, LiveScans]:
        engine, limits, server = self._config.engine, self._config.scan, self._config.server
        at_once = max(os.cpu_count() or 1, readers.most if readers else 0)
        decoders = ThreadPoolExecutor(at_once, "decoder")
        self._closing.callback(decoders.shutdown, cancel_futures=True)
        planes = PlaneStore(
            lambda scan_id, uid: scans.pixels(scan_id, uid),
            engine.hu_cache_bytes,
            engine.plane_cache_bytes,
        )
        metrics = Metrics()
        folder = self._config.storage.state_dir / "audit"
        trail = AuditTrail(
            folder, self._config.audit, metrics.audit_failures, metrics.audit_dropped
        )
        self._closing.callback(trail.settle, at_the_end=True)
        services = Services(
            spool=spool,
            results=results,
            follow_ups=FollowUps(results, self._patient_keys),
            queue=queue,
            devices=self._devices,
            models=ServedModels(
                engine.repository, self._choices_path, choices, self._devices.shelf, self._loader
            ),
            planes=planes,
            decoders=decoders,
            board=Board(),
            metrics=metrics,
            trail=trail,
            policy=ScanPolicy(
                shapes={},
                max_slices=limits.max_slices,
                min_slices=limits.min_slices,
                min_extent_mm=limits.min_extent_mm,
            ),
            reader=SliceReader(IngestLimits(), metrics, readers),
            norms=self._norms,
            saving=ReportSaving(self._config.storage.retry_s),
            intake=Intake(server.in_hand_bytes, server.max_message_bytes),
        )
        storage = self._config.storage
        scans = LiveScans(services, limits.max_open_scans, storage.full_bytes, storage.retry_s)
        self._start_devices(services, scans)
        return services, scans

    def _start_devices(self, services: Services, scans: LiveScans) -> None:
        def observe(seconds: float, slabs: int) -> None:
            for _ in range(slabs):
                services.metrics.slab_seconds.observe(seconds / slabs)

        deliver = scans.deliver_from(asyncio.get_running_loop())
        self._devices.start(services.planes, deliver, observe)
        self._closing.push_async_callback(asyncio.to_thread, self._devices.stop)

    async def _serve_http(self, services: Services, guard: PageGuard, below: int) -> str:
        side = HttpSide(
            services.metrics,
            services.board,
            lambda: self._healthy,
            lambda: show_gauges(services, self._healthy, self._tls),
            guard,
        )
        config, tls = self._config.server, self._tls
        runner = http_runner(side.application(), config)
        await runner.setup()
        self._closing.push_async_callback(runner.cleanup)
        port = HttpPort(runner, config, below, tls.current.context() if tls else None)
        address = await port.start()
        self._closing.push_async_callback(port.stop)
        if tls:
            self._in_background(follow_files(tls, port.use, services.trail))
        return address

    @property
    def _beating(self) -> bool:
        """What the watchdog hears; a scan that cannot be inferred is no reason to restart."""
        inferring = self._devices.beating(self._config.engine.stall_s)
        return self._serving and inferring and not self._storage_fault

    @property
    def _storage_fault(self) -> str:
        return next((store.fault for store in self._stores if store.fault), "")

    @property
    def _healthy(self) -> bool:
        return self._beating and self._devices.healthy(self._config.engine.stall_s)

    def _status(self, scans: LiveScans) -> str:
        engines = ", ".join(
            f"{engine.spec.name} {engine.artefact.precision} on {engine.runtime} "
            f"(version {engine.spec.version})"
            for engine in self._devices.serving.engines.values()
        )
        devices = ", ".join(f"{one.name} {one.state.value}" for one in self._devices.devices)
        fault = self._storage_fault or "inference hangs or fails"
        state = "Serving" if self._healthy else f"Not serving: {fault}"
        progress = f"scans in progress: {len(scans.in_progress)}"
        return f"{state}; {progress}; engines: {engines}; devices: {devices}"

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        task.add_done_callback(_log_failure)
        self._closing.callback(task.cancel)


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        logger.error("a background task of the daemon failed", exc_info=error)
