"""Callers that take places and say nothing: they lose them, and nobody else is locked out."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from appliance.client.errors import ClientError, from_rpc
from breathhold.v1 import scan_pb2 as pb
from breathhold.v1 import scan_pb2_grpc
from tests.box import Call, send_scan
from tests.faults.lives import Life
from tests.faults.test_faults import eventually

OPEN = pb.OpenScan(series_instance_uid="1.2.3", station="CT1")
_EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED


def listening(**further: object) -> dict[str, object]:
    return {"listen": "127.0.0.1:0", "http": "127.0.0.1:0", "readers": 0, **further}


def silent_streams(channel: grpc.Channel, count: int) -> list[Any]:
    """Calls that never send what they have to say."""
    stub = scan_pb2_grpc.ScanServiceStub(channel)
    never: SimpleQueue[pb.StreamRequest] = SimpleQueue()
    return [stub.Stream(iter(never.get, None), timeout=60) for _ in range(count)]


def refused_scan(life: Life) -> ClientError | None:
    """Why a scan without slices was turned away; None when it was not."""
    error = send_scan(life.grpc, OPEN, []).error
    return None if error is None else from_rpc(error, "the daemon")


def refusal(answer: Callable[[], object]) -> ClientError:
    with pytest.raises(grpc.RpcError) as caught:
        answer()
    return from_rpc(caught.value, "the daemon")


def answer_or_reason(watch: Iterator[health_pb2.HealthCheckResponse]) -> str:
    """What a call hears first: a status, or the reason why it was turned away."""
    try:
        return health_pb2.HealthCheckResponse.ServingStatus.Name(next(watch).status)
    except grpc.RpcError as error:
        return from_rpc(error, "the daemon").reason


def is_serving(target: str) -> bool:
    with grpc.insecure_channel(target) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=5)
    return answer.status == health_pb2.HealthCheckResponse.SERVING


def test_silent_calls_lose_their_places(repository: Path, tmp_path: Path) -> None:
    server = listening(max_calls=8, request_s=1.5)
    with (
        Life(tmp_path, repository, server=server) as life,
        grpc.insecure_channel(life.grpc) as channel,
    ):
        silent = silent_streams(channel, 8)
        assert eventually(lambda: refused_scan(life) is not None, 1.4)
        error = refused_scan(life)
        assert error is not None
        assert (error.code, error.reason) == (_EXHAUSTED, "TOO_MANY_CALLS")
        assert error.retry_s
        assert error.passing
        assert is_serving(life.grpc)
        assert eventually(lambda: refused_scan(life) is None, 10)
        late = refusal(lambda: next(silent[0]))
        assert (late.code, late.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "REQUEST_LATE")


def test_watching_health_locks_nobody_out(repository: Path, tmp_path: Path) -> None:
    with (
        Life(tmp_path, repository, server=listening(max_calls=16)) as life,
        grpc.insecure_channel(life.grpc) as channel,
    ):
        stub = health_pb2_grpc.HealthStub(channel)
        watches = [stub.Watch(health_pb2.HealthCheckRequest(), timeout=60) for _ in range(40)]
        heard = [answer_or_reason(watch) for watch in watches]
        assert heard.count("SERVING") == 8
        assert heard.count("TOO_MANY_CALLS") == 32
        assert is_serving(life.grpc)
        assert send_scan(life.grpc, OPEN, []).error is None


def test_a_request_that_is_none_is_refused_by_name(repository: Path, tmp_path: Path) -> None:
    with (
        Life(tmp_path, repository, server=listening()) as life,
        grpc.insecure_channel(life.grpc) as channel,
    ):
        raw = channel.stream_stream("/breathhold.v1.ScanService/Stream")
        listing = channel.unary_unary("/breathhold.v1.TriageService/ListScans")
        opening = pb.StreamRequest(open=OPEN).SerializeToString()
        for answer in (
            lambda: list(raw(iter([b"\xff\xff"]), timeout=10)),
            lambda: list(raw(iter([opening, b"\xff\xff"]), timeout=10)),
            lambda: listing(b"\xff\xff", timeout=10),
        ):
            error = refusal(answer)
            assert (error.code.name, error.reason) == ("INVALID_ARGUMENT", "NOT_UNDERSTOOD")
        assert refusal(lambda: list(raw(iter([]), timeout=10))).reason == "NO_REQUEST"
        call = Call(life.grpc, OPEN)
        assert eventually(lambda: call.answers.opened is not None)
        call.close()
        assert "Traceback" not in life.log_text()


def test_a_connection_that_is_none_is_closed(repository: Path, tmp_path: Path) -> None:
    """To the gRPC port, without a word of HTTP/2."""
    with Life(tmp_path, repository, server=listening(request_s=0.5)) as life:
        host, port = life.grpc.split(":")
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            began = time.monotonic()
            while connection.recv(1000):
                pass
            assert time.monotonic() - began < 3
