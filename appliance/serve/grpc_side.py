"""The gRPC side: every service on one address, with health and reflection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import grpc
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from appliance.access.tls import TlsFiles
from appliance.config import ServerConfig
from appliance.live.scans import LiveScans
from appliance.live.services import Services
from appliance.serve.guard import Guard
from appliance.serve.health import HealthService
from appliance.serve.model_service import ModelService
from appliance.serve.scan_service import ScanService
from appliance.serve.triage_service import TriageService
from breathhold.v1 import model_pb2_grpc, scan_pb2_grpc, triage_pb2_grpc

_SERVICES = (
    "breathhold.v1.ScanService",
    "breathhold.v1.TriageService",
    "breathhold.v1.ModelService",
)
_MIB = 2**20
_HEALTH_INTERVAL_S = 2.0
#: Up to so many times the largest message is read, so that its slice is refused by name. On a
#: larger one gRPC itself breaks the call off, which nobody else hears of.
_READ_TO_BE_REFUSED = 2
#: The largest answer, which callers take: a page of the board's lines.
_MOST_SENT_BYTES = 64 * _MIB
#: gRPC itself refuses calls beyond so many times those that the guard lets in: those that are
#: about health, or that were refused and not gone yet.
_LAST_RESORT = 4


class GrpcSide:
    """Serves `ScanService`, `TriageService`, `ModelService`, health and reflection.

    Parameters
    ----------
    config
        Port 0 picks a free port.
    healthy
        True when scans are served.
    guard
        Lets calls in.
    tls
        None: not encrypted.
    connections
        At once; more are closed.
    """

    def __init__(
        self,
        config: ServerConfig,
        services: Services,
        scans: LiveScans,
        healthy: Callable[[], bool],
        guard: Guard,
        tls: TlsFiles | None = None,
        *,
        connections: int,
    ) -> None:
        self._config, self._services, self._scans = config, services, scans
        self._healthy, self._tls = healthy, tls
        self._health = HealthService(_SERVICES)
        self._server = grpc.aio.server(
            interceptors=[guard],
            options=_options(config, connections),
            maximum_concurrent_rpcs=_LAST_RESORT * config.max_calls,
        )

    async def start(self) -> str:
        """Answer callers, as not serving until told otherwise; returns HOST:PORT.

        Raises
        ------
        OSError
            When the address cannot be bound.
        """
        server, services = self._server, self._services
        in_flight, intake = self._config.slices_in_flight, services.intake
        scan_pb2_grpc.add_ScanServiceServicer_to_server(
            ScanService(self._scans, services.results, in_flight, intake), server
        )
        triage_pb2_grpc.add_TriageServiceServicer_to_server(
            TriageService(services.board, services.results), server
        )
        model_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(services), server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        names = (*_SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)
        self.tell_health()
        host, _, _ = self._config.listen.rpartition(":")
        port = _bind(server, self._config.listen, self._tls)
        await server.start()
        return f"{host.strip('[]')}:{port}"

    async def stop(self) -> None:
        """Tell who asks that it ends, let complete scans end, then close."""
        self._health.end()
        await self._scans.close(self._config.shutdown_grace_s)
        await self._server.stop(grace=1.0)

    def tell_health(self) -> None:
        self._health.tell(self._healthy())

    async def watch_health(self) -> None:
        """Tell the health service when inference dies or hangs, and when it is back."""
        while True:
            await asyncio.sleep(_HEALTH_INTERVAL_S)
            self.tell_health()


def _bind(server: grpc.aio.Server, address: str, tls: TlsFiles | None) -> int:
    try:
        if tls:
            return server.add_secure_port(address, tls.credentials())
        return server.add_insecure_port(address)
    except RuntimeError as error:
        raise OSError(f"gRPC cannot listen on {address}: the address is taken or wrong") from error


def _options(config: ServerConfig, connections: int) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", _READ_TO_BE_REFUSED * config.max_message_mib * _MIB),
        ("grpc.max_send_message_length", _MOST_SENT_BYTES),
        ("grpc.so_reuseport", 0),
        ("grpc.max_allowed_incoming_connections", connections),
        ("grpc.server_handshake_timeout_ms", round(config.request_s * 1000)),
        ("grpc.keepalive_time_ms", 20_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
        ("grpc.keepalive_permit_without_calls", 1),
    ]
