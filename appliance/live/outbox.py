"""What waits to be sent to one caller.

Answers, masks, warnings and the report are never dropped; of the running
scores a slow reader gets the newest one only. A reader that does not read
never holds up the scan.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator

from appliance.live.errors import ScanError
from breathhold.v1 import scan_pb2 as pb
from breathhold.v1 import types_pb2

#: Running scores are sent no closer together than this, s.
SCORE_INTERVAL_S = 0.1
#: A caller that leaves so many responses unread, or so many bytes, is not read from either.
MOST_WAITING, MOST_BYTES = 1024, 16 * 2**20


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
        self._bytes = 0
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
            self._waits(response.ByteSize())

    def send_mask(self, mask: types_pb2.SliceMask) -> None:
        """Send a mask; one of the same slice that was not sent yet is replaced."""
        if not self._closed:
            before = self._masks.get(mask.sop_instance_uid)
            self._masks[mask.sop_instance_uid] = mask
            self._waits(mask.ByteSize() - (before.ByteSize() if before else 0))

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

    def _waiting(self) -> Iterator[pb.StreamResponse]:
        """All that can be sent now, one by one: the report, when there is one, after every mask."""
        self._news.clear()
        for _ in range(len(self._responses)):
            if self._responses[0].HasField("report"):
                break
            yield self._next()
        for uid in tuple(self._masks):
            mask = self._masks.pop(uid)
            self._leaves(mask.ByteSize())
            yield pb.StreamResponse(mask=mask)
        due = self._closed or time.monotonic() >= self._score_due
        if self._score_changed and due:
            self._score_changed = False
            self._score_due = time.monotonic() + SCORE_INTERVAL_S
            yield pb.StreamResponse(running_score=self._running_score())
        while self._responses and self._responses[0].HasField("report") and not self._masks:
            yield self._next()

    def _next(self) -> pb.StreamResponse:
        response = self._responses.popleft()
        self._leaves(response.ByteSize())
        return response

    def _waits(self, size: int) -> None:
        self._bytes += size
        self._news.set()
        if not self._is_room:
            self._has_room.clear()

    def _leaves(self, size: int) -> None:
        self._bytes -= size
        if self._is_room:
            self._has_room.set()

    @property
    def _is_room(self) -> bool:
        return len(self._responses) < MOST_WAITING and self._bytes < MOST_BYTES

    async def _wait(self) -> None:
        """Until there is news, or a score that was held back is due."""
        held_back = self._score_changed and not self._closed
        timeout = max(0.0, self._score_due - time.monotonic()) if held_back else None
        try:
            await asyncio.wait_for(self._news.wait(), timeout)
        except TimeoutError:
            return
