"""The health service: what each service answers, and changes to whoever watches.

The servicer that comes with gRPC holds a lock while it writes to a watcher: one that reads
nothing would keep every other from hearing of a change.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

import grpc
from grpc_health.v1 import health_pb2 as pb
from grpc_health.v1 import health_pb2_grpc

_Answer = pb.HealthCheckResponse


class HealthService(health_pb2_grpc.HealthServicer):
    """`grpc.health.v1.Health` of these services; the empty name is all of them."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = ("", *names)
        self._serving = self._ended = False
        self._news = asyncio.Event()

    def tell(self, serving: bool) -> None:
        """Say how it is now."""
        serving = serving and not self._ended
        if serving is not self._serving:
            self._serving = serving
            self._news.set()
            self._news = asyncio.Event()

    def end(self) -> None:
        """Say that it serves no more, whatever is told later."""
        self._ended = True
        self.tell(False)

    async def Check(  # noqa: N802
        self,
        request: pb.HealthCheckRequest,
        context: grpc.aio.ServicerContext[pb.HealthCheckRequest, pb.HealthCheckResponse],
    ) -> pb.HealthCheckResponse:
        if request.service not in self._names:
            await context.abort(grpc.StatusCode.NOT_FOUND, "there is no such service")
        return self._answer(request.service)

    async def Watch(  # noqa: N802
        self,
        request: pb.HealthCheckRequest,
        context: grpc.aio.ServicerContext[pb.HealthCheckRequest, pb.HealthCheckResponse],
    ) -> AsyncIterator[pb.HealthCheckResponse]:
        told = None
        while True:
            news = self._news
            if (answer := self._answer(request.service)) != told:
                told = answer
                yield answer
            await news.wait()

    def _answer(self, name: str) -> pb.HealthCheckResponse:
        if name not in self._names:
            return _Answer(status=_Answer.SERVICE_UNKNOWN)
        return _Answer(status=_Answer.SERVING if self._serving else _Answer.NOT_SERVING)
