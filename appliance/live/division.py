"""The parts of one complete scan: asked for, and waited for."""

from __future__ import annotations

import asyncio

from appliance.inference.parts import Divided, PartsJob
from appliance.inference.tasks import TaskQueue


class Division:
    """Waits for what a device's worker finds. Used from the event loop only."""

    def __init__(self, queue: TaskQueue) -> None:
        self._queue = queue
        self._answer: asyncio.Future[Divided] | None = None

    async def of(self, job: PartsJob) -> Divided:
        """What became of a job; waits as long as it takes, or until :meth:`forget` cancels it."""
        self._answer = asyncio.get_running_loop().create_future()
        self._queue.put(job)
        return await self._answer

    def take(self, outcome: Divided) -> None:
        """The answer; one that nobody waits for is dropped."""
        if self._answer and not self._answer.done():
            self._answer.set_result(outcome)

    def forget(self) -> None:
        """The scan is broken off; whoever waits is cancelled, as no answer comes."""
        if self._answer:
            self._answer.cancel()
