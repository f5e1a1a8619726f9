"""Waiting for the parts of a scan."""

from __future__ import annotations

import asyncio

import pytest

from appliance.inference.parts import Divided, PartsJob
from appliance.inference.queue import InferenceQueue
from appliance.inference.tasks import TaskQueue
from appliance.live.division import Division

JOB = PartsJob("scan", (), ("lobes",))


def test_the_answer_is_what_the_worker_found() -> None:
    async def answered() -> Divided:
        queue: TaskQueue = InferenceQueue()
        division = Division(queue)
        waiting = asyncio.create_task(division.of(JOB))
        await asyncio.sleep(0)
        assert queue.take(2) == [JOB]
        division.take(Divided(JOB, ()))
        division.take(Divided(JOB, ()))
        return await waiting

    assert asyncio.run(answered()).job is JOB


def test_nobody_waits_for_the_parts_of_a_scan_that_is_broken_off() -> None:
    async def broken_off() -> None:
        division = Division(InferenceQueue())
        division.forget()
        waiting = asyncio.create_task(division.of(JOB))
        await asyncio.sleep(0)
        division.forget()
        division.take(Divided(JOB, ()))
        await waiting

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(broken_off())
