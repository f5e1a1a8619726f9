"""Whoever watches health hears of each change, whatever other watchers do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import grpc
from grpc_health.v1 import health_pb2 as pb

from appliance.serve.health import HealthService

SERVING = pb.HealthCheckResponse.SERVING
NOT_SERVING = pb.HealthCheckResponse.NOT_SERVING
Watch = AsyncIterator[pb.HealthCheckResponse]


def watch(service: HealthService, name: str = "") -> Watch:
    context = cast(grpc.aio.ServicerContext[pb.HealthCheckRequest, pb.HealthCheckResponse], None)
    return service.Watch(pb.HealthCheckRequest(service=name), context)


async def told(watcher: Watch) -> int:
    async with asyncio.timeout(5):
        return (await anext(watcher)).status


def test_one_that_does_not_read_and_one_that_leaves_keep_nobody_from_hearing() -> None:
    async def run() -> None:
        service = HealthService(["a.Service"])
        leaves, stalls, listens = watch(service), watch(service), watch(service, "a.Service")
        assert [await told(one) for one in (leaves, stalls, listens)] == [NOT_SERVING] * 3
        await leaves.aclose()  # type: ignore[attr-defined]
        service.tell(True)
        assert await told(listens) == SERVING
        service.end()
        service.tell(True)
        assert await told(listens) == NOT_SERVING

    asyncio.run(run())


def test_a_service_that_is_not_there_is_named_so() -> None:
    async def run() -> None:
        status = await told(watch(HealthService([]), "x"))
        assert status == pb.HealthCheckResponse.SERVICE_UNKNOWN

    asyncio.run(run())
