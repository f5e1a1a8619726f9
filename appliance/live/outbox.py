"""What waits to be sent to one caller.

Answers, masks, warnings and the report are never dropped; of the running
scores a slow reader gets the newest one only. A reader that does not read
never holds up the scan.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable

from appliance.live.errors import ScanError
from breathhold.v1 import scan_pb2 as pb
from breathhold.v1 import types_pb2

#: Running scores are sent no closer together than this, s.
SCORE_INTERVAL_S = 0.1
#: A caller that leaves so many responses unread is not read from either.
MOST_WAITING = 1024


class Outbox:
    """One caller's responses, in order. Used from the event loop only.

    Parameters
    ----------
    running_score
        Makes the newest score when there is room to send one.
    """

    def __init__(self, running_score: Callable[[], pb.RunningScore]) -> None:
        self._running_score = running_score
        self._responses: deque[pb.StreamResponse] = deque()
        self._masks: dict[str, types_pb2.SliceMask] = {}
        self._score_changed = False
        self._score_due = 0.0
        self._closed = False
        self._error: ScanError | None = None
        self._news = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()

    @property
    def closed(self) -> bool:
        """True when the call is over, but for what still waits to be sent."""
        return self._closed

    async def room(self) -> None:
        """Wait until the caller has read enough to be sent more, or the call is over."""
        await self._has_room.wait()

    def send(self, response: pb.StreamResponse) -> None:
        if not self._closed:
            self._responses.append(response)
            self._news.set()
            if len(self._responses) >= MOST_WAITING:
                self._has_room.clear()

    def send_mask(self, mask: types_pb2.SliceMask) -> None:
        """Send a mask; one of the same slice that was not sent yet is replaced."""
        if not self._closed:
            self._masks[mask.sop_instance_uid] = mask
            self._news.set()

    def score_changed(self) -> None:
        if not self._closed:
            self._score_changed = True
            self._news.set()

    def close(self, error: ScanError | None = None) -> None:
        """End the call, with an error or without, once all that waits is sent."""
        if not self._closed:
            self._closed, self._error = True, error
            self._news.set()
            self._has_room.set()

    async def __aiter__(self) -> AsyncIterator[pb.StreamResponse]:
        while True:
            for response in self._waiting():
                yield response
            if self._closed and not (self._responses or self._masks):
                if self._error:
                    raise self._error
                return
            await self._wait()

    def _waiting(self) -> list[pb.StreamResponse]:
        """All that can be sent now: the report, when there is one, after every mask."""
        self._news.clear()
        ready = []
        while self._responses and not self._responses[0].HasField("report"):
            ready.append(self._responses.popleft())
        ready += [pb.StreamResponse(mask=mask) for mask in self._masks.values()]
        self._masks.clear()
        due = self._closed or time.monotonic() >= self._score_due
        if self._score_changed and due:
            self._score_changed = False
            self._score_due = time.monotonic() + SCORE_INTERVAL_S
            ready.append(pb.StreamResponse(running_score=self._running_score()))
        ready += self._responses
        self._responses.clear()
        self._has_room.set()
        return ready

    async def _wait(self) -> None:
        """Until there is news, or a score that was held back is due."""
        held_back = self._score_changed and not self._closed
        timeout = max(0.0, self._score_due - time.monotonic()) if held_back else None
        try:
            await asyncio.wait_for(self._news.wait(), timeout)
        except TimeoutError:
            return
