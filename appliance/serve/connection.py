"""One connection of the HTTP port, between its transport and what speaks HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Connection(asyncio.Protocol):
    """Hands everything on, and gives up a caller that does not read its answers.

    Parameters
    ----------
    speaks
        What speaks HTTP.
    ended
        Called when the connection is gone.
    stalled_s
        A caller that reads nothing for so long is given up, s.
    """

    def __init__(
        self, speaks: asyncio.Protocol, ended: Callable[[], None], stalled_s: float
    ) -> None:
        self._speaks, self._ended = speaks, ended
        self._look_s = stalled_s / 2

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._speaks.connection_made(transport)
        self._look(0)

    def _look(self, before: int) -> None:
        """See whether anything was read since the last look, when so much was unread."""
        unread = self._transport.get_write_buffer_size()
        if before and unread >= before:
            self._transport.abort()
            return
        self._next = self._loop.call_later(self._look_s, self._look, unread)

    def connection_lost(self, error: Exception | None) -> None:
        self._next.cancel()
        self._ended()
        self._speaks.connection_lost(error)

    def data_received(self, data: bytes) -> None:
        self._speaks.data_received(data)

    def eof_received(self) -> bool | None:
        return self._speaks.eof_received()

    def pause_writing(self) -> None:
        self._speaks.pause_writing()

    def resume_writing(self) -> None:
        self._speaks.resume_writing()
