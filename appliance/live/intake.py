"""How much of the slices that callers send may be in memory at once, over all scans."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

from appliance.ingest.errors import refuse
from appliance.live.errors import too_much_in_hand
from appliance.scan.verdicts import RefusalReason

_MIB = 2**20
#: So long a caller waits for others' slices to be worked on, s.
_PATIENCE_S = 30.0


class Intake:
    """Bytes of slices in hand: read from a caller, and not answered yet. For the event loop.

    A caller for whose next slice there is no room is not read from, which gRPC's flow control
    makes it feel. Those that wait are served in the order in which they came.

    Parameters
    ----------
    budget_bytes
        Of all scans together. A message that is larger goes alone.
    message_bytes
        A larger message is refused.
    patience_s
        How long to wait for room, s.
    """

    def __init__(
        self,
        budget_bytes: int = 256 * _MIB,
        message_bytes: int = 16 * _MIB,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        self._budget, self._most, self._patience_s = budget_bytes, message_bytes, patience_s
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self.bytes_in_hand = 0

    async def take(self, size: int) -> None:
        """Wait until there is room for a message of so many bytes; then they are in hand.

        Raises
        ------
        ScanError
            RESOURCE_EXHAUSTED, when there is none for too long.
        """
        if not self._waiting and self._fits(size):
            self.bytes_in_hand += size
            return
        let_in: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, let_in))
        try:
            async with asyncio.timeout(self._patience_s):
                await let_in
        except BaseException as error:
            self._leave(size, let_in)
            if isinstance(error, TimeoutError):
                raise too_much_in_hand(self._budget) from error
            raise

    def give_back(self, size: int) -> None:
        """A message of so many bytes is answered."""
        self.bytes_in_hand -= size
        self._let_in()

    def check(self, size: int) -> None:
        """Refuse a message that is too large.

        Raises
        ------
        SliceRefusedError
            TOO_LARGE.
        """
        if size > self._most:
            raise refuse(
                RefusalReason.TOO_LARGE,
                "The message is larger than is allowed.",
                bytes=size,
                max_bytes=self._most,
            )

    def _fits(self, size: int) -> bool:
        return not self.bytes_in_hand or self.bytes_in_hand + size <= self._budget

    def _let_in(self) -> None:
        while self._waiting and self._fits(self._waiting[0][0]):
            size, let_in = self._waiting.popleft()
            if not let_in.cancelled():
                self.bytes_in_hand += size
                let_in.set_result(None)

    def _leave(self, size: int, let_in: asyncio.Future[None]) -> None:
        """Wait no more; what was let in this very moment is given back."""
        if let_in.done() and not let_in.cancelled():
            self.give_back(size)
        else:
            with contextlib.suppress(ValueError):
                self._waiting.remove((size, let_in))
            self._let_in()
