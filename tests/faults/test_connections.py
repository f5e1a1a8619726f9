"""Connections that only sit there, with few files allowed: scans go on."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from breathhold.v1 import scan_pb2 as pb
from tests.access.authority import Authority
from tests.box import Call, send_scan
from tests.faults.lives import Life
from tests.faults.test_faults import eventually
from tests.made_scans import raw_slices

OPEN = pb.OpenScan(series_instance_uid="1.2.3", station="CT1")
OTHER = pb.OpenScan(series_instance_uid="1.2.4", station="CT2")
HALF = b"GET / HTTP/1.1\r\nHost: box\r\n"


def listening(**further: object) -> dict[str, object]:
    return {"listen": "127.0.0.1:0", "http": "127.0.0.1:0", "readers": 0, **further}


#: Sockets of a test, closed at its end.
_SOCKETS = contextlib.ExitStack()


@pytest.fixture(autouse=True)
def closing() -> Iterator[None]:
    with _SOCKETS:
        yield


def flood(address: str, count: int, said: bytes, *hosts: str) -> list[socket.socket]:
    """So many connections from each host, as far as they are taken."""
    host, _, port = address.rpartition(":")
    connections = [_SOCKETS.enter_context(socket.socket()) for _ in range(count * len(hosts))]
    for number, connection in enumerate(connections):
        connection.settimeout(2)
        with contextlib.suppress(OSError):
            connection.bind((hosts[number % len(hosts)], 0))
            connection.connect((host, int(port)))
            connection.sendall(said)
    return connections


def healthy(life: Life) -> bool:
    try:
        with urllib.request.urlopen(f"http://{life.http}/healthz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def open_files(life: Life) -> int:
    return len(list(Path(f"/proc/{life.process.pid}/fd").iterdir()))


def test_scans_go_on_in_a_flood_of_half_requests(repository: Path, tmp_path: Path) -> None:
    slices = raw_slices(24, 20.0)
    hosts = [f"127.0.0.{number}" for number in range(2, 6)]
    with Life(tmp_path, repository, open_files=160, server=listening(request_s=1.5)) as life:
        before = open_files(life)
        call = Call(life.grpc, OPEN)
        call.send_slices(slices[:12])
        call.wait_for_answers(12)
        flood(life.grpc, 20, b"", *hosts)
        flood(life.http, 25, HALF, *hosts)
        assert eventually(lambda: open_files(life) >= before + 40, 5)
        assert open_files(life) <= 160 - 40
        call.send_slices(slices[12:])
        call.end()
        assert call.result().final_report.slices == 24
        assert send_scan(life.grpc, OTHER, raw_slices(12, 20.0, "1.2.4")).final_report.slices == 12
        assert eventually(lambda: open_files(life) <= before + 3, 6)
        assert healthy(life)
        assert len(life.log_text().splitlines()) < 30


def test_the_limit_of_open_files_is_raised(repository: Path, tmp_path: Path) -> None:
    with Life(tmp_path, repository, open_files=(200, 700), server=listening()) as life:
        limits = Path(f"/proc/{life.process.pid}/limits").read_text()
        (line,) = [line for line in limits.splitlines() if line.startswith("Max open files")]
        assert line.split()[3:5] == ["700", "700"]


def test_a_handshake_without_an_end_is_closed(repository: Path, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    files = authority.issue("appliance", "localhost", "127.0.0.1")
    tls = {
        "certificate": str(files.certificate),
        "key": str(files.key),
        "client_ca": str(authority.ca),
    }
    with Life(tmp_path, repository, tls=tls, server=listening(request_s=1.0)) as life:
        before = open_files(life)
        flood(life.http, 10, b"\x16\x03\x01\x02", "127.0.0.1")
        flood(life.http, 10, b"", "127.0.0.1")
        flood(life.grpc, 10, b"", "127.0.0.1")
        context = ssl.create_default_context(cafile=str(authority.ca))
        for connection in flood(life.http, 5, b"", "127.0.0.1"):
            wrapped = context.wrap_socket(connection, server_hostname="127.0.0.1")
            _SOCKETS.enter_context(wrapped)
        assert eventually(lambda: open_files(life) >= before + 20, 5)
        began = time.monotonic()
        assert eventually(lambda: open_files(life) <= before + 1, 5)
        assert time.monotonic() - began < 3
