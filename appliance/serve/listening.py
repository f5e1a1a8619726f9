"""The HTTP port: takes connections, plain or by TLS, and no more than it may."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections import Counter

from aiohttp import web

from appliance.config import ServerConfig
from appliance.serve.connection import Connection
from appliance.serve.seldom import Seldom

logger = logging.getLogger(__name__)

_BACKLOG = 256
#: After an error of the system, such as no descriptor left, no connection is taken for so long, s.
_REST_S = 1.0


def http_runner(app: web.Application, config: ServerConfig) -> web.AppRunner:
    """What answers on connections; one that asks nothing, or not to the end, is closed.

    Of `request_s` the TLS handshake may take half and the request the other half.
    """
    return web.AppRunner(app, access_log=None, keepalive_timeout=config.request_s / 2)


class HttpPort:
    """Listens for an application. `start`, then `stop`; use once.

    Parameters
    ----------
    runner
        Of :func:`http_runner`, set up already.
    config
        Where to listen (port 0 picks a free one), and how many connections are taken: more are
        closed at once.
    below
        No connection is taken whose descriptor has this number or a higher one.
    context
        None: not encrypted.
    """

    def __init__(
        self,
        runner: web.AppRunner,
        config: ServerConfig,
        below: int,
        context: ssl.SSLContext | None = None,
    ) -> None:
        assert runner.server is not None
        self._speak = runner.server
        self._config, self._below, self._context = config, below, context
        self._taken: Counter[str] = Counter()
        self._beginning: set[asyncio.Task[None]] = set()
        self._seldom = Seldom(logger)
        self._resting: asyncio.TimerHandle | None = None

    async def start(self) -> str:
        """HOST:PORT it listens on.

        Raises
        ------
        OSError
            When the address cannot be bound.
        """
        self._loop = asyncio.get_running_loop()
        host, _, port = self._config.http.rpartition(":")
        host = host.strip("[]")
        (family, kind, proto, _, address), *_ = await self._loop.getaddrinfo(
            host, int(port), type=socket.SOCK_STREAM
        )
        self._socket = socket.socket(family, kind, proto)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind(address)
            self._socket.listen(_BACKLOG)
        except OSError:
            self._socket.close()
            raise
        self._loop.add_reader(self._socket, self._take_those_there)
        return f"{host}:{self._socket.getsockname()[1]}"

    async def stop(self) -> None:
        """Take no more connections; those that are open go on."""
        if self._resting:
            self._resting.cancel()
        self._loop.remove_reader(self._socket)
        self._socket.close()
        for task in self._beginning:
            task.cancel()

    def use(self, context: ssl.SSLContext) -> None:
        """Show this certificate to connections from now on."""
        self._context = context

    def _take_those_there(self) -> None:
        for _ in range(_BACKLOG):
            try:
                connection, address = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._rest(error)
                return
            if self._has_room(connection, str(address[0])):
                self._begin(connection, str(address[0]))
            else:
                connection.close()

    def _rest(self, error: OSError) -> None:
        self._seldom.warning("no HTTP connection can be taken: %s", error)
        self._loop.remove_reader(self._socket)
        again = (self._socket, self._take_those_there)
        self._resting = self._loop.call_later(_REST_S, self._loop.add_reader, *again)

    def _has_room(self, connection: socket.socket, host: str) -> bool:
        config = self._config
        if connection.fileno() >= self._below:
            self._seldom.warning("HTTP connections are closed at once: too many files are open")
        elif self._taken.total() >= config.http_connections:
            self._seldom.warning("HTTP connections are closed at once: too many are open")
        elif self._taken[host] >= config.http_connections_each:
            self._seldom.warning("HTTP connections are closed at once: %s has too many", host)
        else:
            return True
        return False

    def _begin(self, connection: socket.socket, host: str) -> None:
        connection.setblocking(False)
        self._taken[host] += 1
        place = contextlib.ExitStack()
        place.callback(self._leave, host)
        task = self._loop.create_task(self._serve(connection, place))
        self._beginning.add(task)
        task.add_done_callback(self._beginning.discard)

    def _leave(self, host: str) -> None:
        self._taken[host] -= 1
        if not self._taken[host]:
            del self._taken[host]

    async def _serve(self, connection: socket.socket, place: contextlib.ExitStack) -> None:
        """Shake hands; from then on the connection lives by itself, and leaves its place."""
        half = self._config.request_s / 2
        timeouts = {"ssl_handshake_timeout": half, "ssl_shutdown_timeout": half}
        try:
            await self._loop.connect_accepted_socket(
                lambda: Connection(self._speak(), place.close, self._config.stalled_s),
                connection,
                ssl=self._context,
                **(timeouts if self._context else {}),
            )
        except OSError:  # which errors of TLS and a handshake that takes too long are, too
            place.close()
        except BaseException:
            place.close()
            raise
