"""The HTTP port: plain, or by TLS with files that are read again when they change."""

from __future__ import annotations

import asyncio
import contextlib
import socket

from aiohttp import web

from appliance.access.tls import TlsFiles

_BACKLOG = 64
_LOOK_S = 5.0


class HttpPort:
    """Listens for an application. `start`, then `stop`; use once.

    Parameters
    ----------
    runner
        Set up already.
    host, port
        Port 0 picks a free one.
    tls
        None: not encrypted.
    """

    def __init__(
        self, runner: web.AppRunner, host: str, port: int, tls: TlsFiles | None = None
    ) -> None:
        self._runner, self._host, self._port, self._tls = runner, host, port, tls
        self._site: web.SockSite | None = None

    async def start(self) -> str:
        """HOST:PORT it listens on.

        Raises
        ------
        OSError
            When the address cannot be bound.
        """
        loop = asyncio.get_running_loop()
        (family, kind, proto, _, address), *_ = await loop.getaddrinfo(
            self._host, self._port, type=socket.SOCK_STREAM
        )
        self._socket = socket.socket(family, kind, proto)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind(address)
            self._socket.listen(_BACKLOG)
        except OSError:
            self._socket.close()
            raise
        await self._listen()
        return f"{self._host}:{self._socket.getsockname()[1]}"

    async def stop(self) -> None:
        if self._site:
            await self._site.stop()
        self._socket.close()

    async def follow_files(self) -> None:
        """Take TLS files that changed for new connections, for as long as the daemon runs."""
        while self._tls:
            await asyncio.sleep(_LOOK_S)
            if self._tls.current is not self._material:
                await self._listen()

    async def _listen(self) -> None:
        """Listen anew; the socket stays, so that no connection is refused meanwhile."""
        context = None
        if self._tls:
            self._material, context = self._tls.current, self._tls.context()
        before = self._site
        self._site = web.SockSite(self._runner, self._socket.dup(), ssl_context=context)
        await self._site.start()
        if before:
            with contextlib.suppress(RuntimeError):
                await before.stop()
