"""The daemon: wires the rooms together and runs them, from start to graceful stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc
from aiohttp import web
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from appliance.config import Config
from appliance.inference.planes import PlaneStore
from appliance.inference.queue import InferenceQueue
from appliance.inference.shapes import lesion_models, slab_shapes
from appliance.inference.slab_inference import SlabInference
from appliance.inference.worker import InferenceWorker
from appliance.inference.yielding import give_way
from appliance.ingest import IngestLimits
from appliance.live.board import Board
from appliance.live.housekeeping import keep_house, watch_silence
from appliance.live.scans import LiveScans
from appliance.live.services import Services
from appliance.metrics import Metrics
from appliance.notify import ServiceManager, keep_told, more_time
from appliance.scan.scan import ScanPolicy
from appliance.serve.http import HttpSide
from appliance.serve.model_service import ModelService
from appliance.serve.scan_service import ScanService
from appliance.serve.triage_service import TriageService
from appliance.storage.results import ResultsStore
from appliance.storage.spool import Spool
from breathhold.v1 import model_pb2_grpc, scan_pb2_grpc, triage_pb2_grpc, types_pb2
from engines.models import ModelSpec, load_repository
from engines.runtimes import choose
from engines.segmenter import Segmenter
from engines.warm_up import Engine

logger = logging.getLogger(__name__)

_SERVICES = (
    "breathhold.v1.ScanService",
    "breathhold.v1.TriageService",
    "breathhold.v1.ModelService",
)
_MIB = 2**20
_HEALTH_INTERVAL_S = 2.0
#: What a stop takes at most beside the grace for scans: the batch in hand, and closing, s.
_CLOSING_S = 20.0
_STATE_NAMES = {
    types_pb2.SCAN_STATE_RECEIVING: "receiving",
    types_pb2.SCAN_STATE_COMPLETING: "completing",
    types_pb2.SCAN_STATE_REPORTED: "reported",
    types_pb2.SCAN_STATE_ABANDONED: "abandoned",
    types_pb2.SCAN_STATE_FAILED: "failed",
}


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a daemon listens, each HOST:PORT."""

    grpc: str
    http: str


def run(config: Config, *, ready: Callable[[Addresses], None] | None = None) -> None:
    """Run a daemon until SIGINT or SIGTERM.

    Parameters
    ----------
    config
        Port 0 picks a free port.
    ready
        Called once every engine is warm and scans are served.

    Raises
    ------
    ModelError, RuntimeUnavailableError
        When the models cannot be served.
    StorageError
        When the state folder cannot be used.
    OSError
        When an address cannot be bound.
    ValueError
        When the service manager's variables in the environment are wrong.
    """
    asyncio.run(_run_until_signalled(config, ready))


async def _run_until_signalled(config: Config, ready: Callable[[Addresses], None] | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    daemon = Daemon(config, ServiceManager.from_environment())
    try:
        addresses = await _unless(stop, daemon.start())
        if ready and addresses:
            ready(addresses)
        await stop.wait()
        logger.info("stopping")
    finally:
        await daemon.stop()


async def _unless(stop: asyncio.Event, start: Coroutine[Any, Any, Addresses]) -> Addresses | None:
    """What `start` returns; None when it is to stop first."""
    starting, stopping = asyncio.create_task(start), asyncio.create_task(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if starting.done():
        return await starting
    starting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await starting
    return None


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
        self._health = health.aio.HealthServicer()
        self._serving = False
        self._worker: InferenceWorker | None = None

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
        self._manager.stopping(self._config.server.shutdown_grace_s + _CLOSING_S)
        await self._closing.aclose()

    async def _start(self) -> Addresses:
        storage = self._config.storage
        spool = await asyncio.to_thread(Spool, storage.state_dir)
        self._closing.push_async_callback(asyncio.to_thread, spool.close)
        results = ResultsStore(storage.state_dir / "results.sqlite")
        self._closing.push_async_callback(asyncio.to_thread, results.close)
        async with more_time(self._manager, "Starting: the engines warm up"):
            segmenter = await self._load_engines()
        services, scans = self._scans(spool, results, segmenter)
        await scans.show_finished()
        self._in_background(watch_silence(scans, self._config.scan))
        self._in_background(keep_house(scans, services, self._config.storage))
        http = await self._serve_http(services)
        server, address = await self._serve_grpc(services, scans, segmenter)
        self._closing.push_async_callback(self._stop_serving, server, scans)
        self._serving = True
        await self._tell_health()
        self._in_background(self._watch_health())

        def status() -> str:
            return self._status(scans, segmenter)

        self._manager.ready(status())
        self._in_background(keep_told(self._manager, lambda: self._beating, status))
        return Addresses(address, http)

    async def _load_engines(self) -> Segmenter:
        """On a thread that gives way, so that the engines' own threads do too."""
        with ThreadPoolExecutor(1, "engine-loader", initializer=give_way) as loader:
            return await asyncio.get_running_loop().run_in_executor(loader, self._segmenter)

    def _segmenter(self) -> Segmenter:
        engine = self._config.engine
        specs = load_repository(engine.repository)
        return Segmenter(specs, choose(engine.runtime), engine.precision, engine.batch)

    def _scans(
        self, spool: Spool, results: ResultsStore, segmenter: Segmenter
    ) -> tuple[Services, LiveScans]:
        engine, limits = self._config.engine, self._config.scan
        decoders = ThreadPoolExecutor(os.cpu_count(), "decoder")
        self._closing.callback(decoders.shutdown, cancel_futures=True)
        planes = PlaneStore(
            lambda scan_id, uid: scans.pixels(scan_id, uid),
            engine.hu_cache_bytes,
            engine.plane_cache_bytes,
        )
        lesion = lesion_models(segmenter.lesion_models)
        services = Services(
            spool=spool,
            results=results,
            queue=InferenceQueue(),
            planes=planes,
            decoders=decoders,
            board=Board(),
            metrics=Metrics(),
            policy=ScanPolicy(
                shapes=slab_shapes(segmenter.lesion_models),
                max_slices=limits.max_slices,
                min_slices=limits.min_slices,
                min_extent_mm=limits.min_extent_mm,
            ),
            limits=IngestLimits(),
            engines_for=lambda section: _engines_for(segmenter, lesion[section]),
        )
        scans = LiveScans(services, limits.max_open_scans)
        self._start_worker(segmenter, services, scans)
        return services, scans

    def _start_worker(self, segmenter: Segmenter, services: Services, scans: LiveScans) -> None:
        def observe(seconds: float, slabs: int) -> None:
            for _ in range(slabs):
                services.metrics.slab_seconds.observe(seconds / slabs)

        worker = InferenceWorker(
            SlabInference(segmenter, services.planes),
            services.queue,
            scans.deliver_from(asyncio.get_running_loop()),
            observe,
        )
        worker.start()
        self._worker = worker
        self._closing.push_async_callback(asyncio.to_thread, worker.stop)

    async def _serve_http(self, services: Services) -> str:
        side = HttpSide(
            services.metrics,
            services.board,
            lambda: self._healthy,
            lambda: self._set_gauges(services),
        )
        runner = web.AppRunner(side.application(), access_log=None)
        await runner.setup()
        self._closing.push_async_callback(runner.cleanup)
        host, port = _split(self._config.server.http)
        await web.TCPSite(runner, host, port).start()
        return f"{host}:{runner.addresses[0][1]}"

    async def _serve_grpc(
        self, services: Services, scans: LiveScans, segmenter: Segmenter
    ) -> tuple[grpc.aio.Server, str]:
        config = self._config.server
        server = grpc.aio.server(options=_options(config.max_message_mib * _MIB))
        scan_pb2_grpc.add_ScanServiceServicer_to_server(
            ScanService(scans, services.results, config.slices_in_flight), server
        )
        triage_pb2_grpc.add_TriageServiceServicer_to_server(
            TriageService(services.board, services.results), server
        )
        model_pb2_grpc.add_ModelServiceServicer_to_server(
            ModelService(segmenter.engines.values()), server
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        names = (*_SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)
        await self._tell_health()
        host, _ = _split(config.listen)
        port = _bind(server, config.listen)
        await server.start()
        return server, f"{host}:{port}"

    async def _stop_serving(self, server: grpc.aio.Server, scans: LiveScans) -> None:
        await self._health.enter_graceful_shutdown()
        await scans.close(self._config.server.shutdown_grace_s)
        await server.stop(grace=1.0)

    @property
    def _beating(self) -> bool:
        """What the watchdog hears; a scan that cannot be inferred is no reason to restart."""
        stall_s = self._config.engine.stall_s
        return self._serving and self._worker is not None and self._worker.beating(stall_s)

    @property
    def _healthy(self) -> bool:
        stall_s = self._config.engine.stall_s
        return self._beating and self._worker is not None and self._worker.healthy(stall_s)

    def _status(self, scans: LiveScans, segmenter: Segmenter) -> str:
        engines = ", ".join(
            f"{engine.spec.name} {engine.artefact.precision} on {engine.runtime}"
            for engine in segmenter.engines.values()
        )
        state = "Serving" if self._healthy else "Not serving: inference hangs or fails"
        return f"{state}; scans in progress: {len(scans.in_progress)}; engines: {engines}"

    async def _watch_health(self) -> None:
        """Tell the health service when inference dies or hangs, and when it is back."""
        while self._serving:
            await asyncio.sleep(_HEALTH_INTERVAL_S)
            await self._tell_health()

    async def _tell_health(self) -> None:
        statuses = health_pb2.HealthCheckResponse
        status = statuses.SERVING if self._healthy else statuses.NOT_SERVING
        for name in ("", *_SERVICES):
            await self._health.set(name, status)

    def _set_gauges(self, services: Services) -> None:
        metrics = services.metrics
        metrics.ready.set(self._healthy)
        metrics.queue_depth.set(len(services.queue))
        metrics.pixel_cache_bytes.set(services.planes.bytes_used)
        states = Counter(summary.state for summary in services.board.summaries())
        for value, name in _STATE_NAMES.items():
            metrics.scans.labels(name).set(states[value])

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        task.add_done_callback(_log_failure)
        self._closing.callback(task.cancel)


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        logger.error("a background task of the daemon failed", exc_info=error)


def _engines_for(segmenter: Segmenter, lesion: ModelSpec) -> Mapping[str, Engine]:
    engines = segmenter.engines
    return {"lung": engines[segmenter.lung.name], "lesion": engines[lesion.name]}


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _bind(server: grpc.aio.Server, address: str) -> int:
    try:
        return server.add_insecure_port(address)
    except RuntimeError as error:
        raise OSError(f"gRPC cannot listen on {address}: the address is taken or wrong") from error


def _options(max_message_bytes: int) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.so_reuseport", 0),
        ("grpc.keepalive_time_ms", 20_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
        ("grpc.keepalive_permit_without_calls", 1),
    ]
