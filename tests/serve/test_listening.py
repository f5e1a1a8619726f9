"""The HTTP port takes so many connections, and none that only sits there."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
import time
from collections.abc import Awaitable, Callable, Iterator

import pytest
from aiohttp import web

from appliance.config import ServerConfig
from appliance.serve.listening import HttpPort, http_runner

WHOLE = b"GET / HTTP/1.1\r\nHost: box\r\n\r\n"
HALF = WHOLE[:-2]
ANSWER = "x" * 100_000


def on_a_port(
    test: Callable[[tuple[str, int]], Awaitable[None]], below: int = 2**20, **settings: float
) -> None:
    """Run a test against a port of its own."""

    async def page(request: web.Request) -> web.Response:
        return web.Response(text=ANSWER)

    async def run() -> None:
        config = ServerConfig.model_validate({"http": "127.0.0.1:0", "request_s": 0.4, **settings})
        app = web.Application()
        app.add_routes([web.get("/", page)])
        runner = http_runner(app, config)
        await runner.setup()
        port = HttpPort(runner, config, below)
        host, _, number = (await port.start()).partition(":")
        try:
            await test((host, int(number)))
        finally:
            await port.stop()
            await runner.cleanup()

    asyncio.run(run())


#: Sockets of a test, closed at its end.
_SOCKETS = contextlib.ExitStack()


@pytest.fixture(autouse=True)
def closing() -> Iterator[None]:
    with _SOCKETS:
        yield


def made() -> socket.socket:
    return _SOCKETS.enter_context(socket.socket())


def connected(
    address: tuple[str, int], said: bytes = b"", host: str = "127.0.0.1"
) -> socket.socket:
    connection = made()
    connection.bind((host, 0))
    connection.connect(address)
    connection.sendall(said)
    return connection


async def open_still(connections: list[socket.socket]) -> int:
    """How many the other side has not closed."""
    await asyncio.sleep(0.1)
    found = 0
    for connection in connections:
        connection.setblocking(False)
        try:
            found += bool(connection.recv(1))
        except BlockingIOError:
            found += 1
        except ConnectionError:
            pass
    return found


async def answer(address: tuple[str, int], host: str = "127.0.0.1") -> bytes:
    """The first line of what a whole request is answered; empty when it is not."""
    with contextlib.suppress(ConnectionError):
        reader, writer = await asyncio.open_connection(*address, local_addr=(host, 0))
        writer.write(WHOLE)
        line = await reader.readline()
        writer.close()
        return line
    return b""


OK = b"HTTP/1.1 200 OK\r\n"


def test_one_host_gets_some_connections_and_leaves_others() -> None:
    async def test(address: tuple[str, int]) -> None:
        greedy = [connected(address, HALF, "127.0.0.2") for _ in range(20)]
        assert await open_still(greedy) == 4
        assert await answer(address, "127.0.0.2") == b""
        assert await answer(address) == OK

    on_a_port(test, request_s=20, http_connections_each=4)


def test_all_together_get_no_more_than_so_many() -> None:
    async def test(address: tuple[str, int]) -> None:
        many = [connected(address, HALF, f"127.0.0.{2 + number}") for number in range(20)]
        assert await open_still(many) == 8

    on_a_port(test, request_s=20, http_connections=8)


@pytest.mark.parametrize("said", [b"", HALF, WHOLE, WHOLE + HALF])
def test_what_asks_nothing_or_not_to_the_end_is_closed(said: bytes) -> None:
    async def test(address: tuple[str, int]) -> None:
        connection = connected(address, said)
        connection.setblocking(False)
        began = time.monotonic()
        async with asyncio.timeout(5):
            while await asyncio.get_running_loop().sock_recv(connection, 2**20):
                pass
        assert time.monotonic() - began < 2

    on_a_port(test)


def test_a_place_is_free_again_after_the_connection() -> None:
    async def test(address: tuple[str, int]) -> None:
        for _ in range(30):
            assert await answer(address) == OK
            await asyncio.sleep(0.01)

    on_a_port(test, http_connections_each=2)


def test_a_caller_that_does_not_read_is_given_up() -> None:
    async def test(address: tuple[str, int]) -> None:
        connection = made()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(address)
        connection.sendall(WHOLE * 200)
        await asyncio.sleep(0.1)
        assert await answer(address) == b""
        async with asyncio.timeout(5):
            while await answer(address) != OK:
                await asyncio.sleep(0.1)

    on_a_port(test, stalled_s=0.6, http_connections_each=1)


def test_the_last_descriptors_are_left_to_others() -> None:
    async def test(address: tuple[str, int]) -> None:
        assert await answer(address) == b""

    on_a_port(test, below=lowest_free())


def lowest_free() -> int:
    found = os.dup(0)
    os.close(found)
    return found


@contextlib.contextmanager
def no_descriptor_left() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free(), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_without_descriptors_it_rests_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    async def test(address: tuple[str, int]) -> None:
        waiting = [made() for _ in range(20)]
        with no_descriptor_left():
            for connection in waiting:
                connection.connect(address)
            await asyncio.sleep(0.3)
        assert len(caplog.records) == 1
        assert "no HTTP connection can be taken" in caplog.text
        assert await open_still(waiting) == 20
        assert await answer(address) == OK

    on_a_port(test)
