"""A disk that hangs: health says so, callers are told, a stop ends, and nothing is lost."""

from __future__ import annotations

import time
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from appliance.client.errors import ClientError, from_rpc
from breathhold.v1 import scan_pb2 as pb
from tests.box import Answers, send_scan
from tests.faults.lives import Life
from tests.faults.test_faults import OPEN, eventually, same, status
from tests.made_scans import raw_slices

_SLICES = 12
_STALL_S = 0.7


def sent(life: Life, opening: pb.OpenScan = OPEN) -> Answers:
    slices = raw_slices(_SLICES, 20.0, opening.series_instance_uid)
    return send_scan(life.grpc, opening, slices)


def error_of(answers: Answers) -> ClientError:
    assert answers.error is not None
    return from_rpc(answers.error, "the daemon")


def healthy(life: Life) -> bool:
    with grpc.insecure_channel(life.grpc) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


@pytest.fixture(scope="module")
def undisturbed(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Answers:
    with Life(tmp_path_factory.mktemp("undisturbed"), repository) as life:
        return sent(life)


@pytest.mark.parametrize(
    ("plan", "acknowledged"), [("spool.sync=hang@3", 1), ("results.save=hang@1", _SLICES)]
)
def test_storage_that_hangs(
    repository: Path, tmp_path: Path, undisturbed: Answers, plan: str, acknowledged: int
) -> None:
    storage = {"state_dir": str(tmp_path), "busy_s": 0.2, "stall_s": _STALL_S}
    server = {"listen": "127.0.0.1:0", "http": "127.0.0.1:0", "shutdown_grace_s": 0.2}
    with Life(tmp_path, repository, plan, storage=storage, server=server) as life:
        assert healthy(life)
        answers = sent(life)
        told = error_of(answers)
        other = error_of(sent(life, pb.OpenScan(series_instance_uid="1.2.4", station="CT2")))
        for error in (told, other):
            assert (error.code, error.reason) == (
                grpc.StatusCode.UNAVAILABLE,
                "STORAGE_STALLED",
            )
            assert error.retry_s
        assert len(answers.acks) >= acknowledged
        assert status(f"http://{life.http}/healthz") == 503
        assert eventually(lambda: not healthy(life), 5)
        asked = time.monotonic()
        assert life.stop() == 1
        assert time.monotonic() - asked < 10
        assert "without waiting for what hangs" in life.log_text()
    with Life(tmp_path, repository) as life:
        again = sent(life)
    assert again.opened is not None
    assert {ack.sop_instance_uid for ack in answers.acks} <= {*again.opened.kept_sop_instance_uids}
    assert same(again, undisturbed)
