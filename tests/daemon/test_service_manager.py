"""The daemon under a service manager: a real notify socket hears what systemd would."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from appliance import failpoints
from appliance.config import Config
from appliance.daemon import Daemon
from appliance.inference.pool import DevicePool
from appliance.inference.queue import Job
from appliance.inference.slab_inference import Outcome, SlabInference
from appliance.notify import ServiceManager
from appliance.storage.recovery import open_results
from appliance.storage.results import ResultsStore
from breathhold.v1 import scan_pb2 as pb
from engines.models import SHIPPED
from tests.box import Box, Call, send_scan
from tests.daemon.test_faults_within import daemon_within
from tests.forked import ForkedBox
from tests.made_scans import raw_slices
from tests.notify_socket import NotifySocket

OPEN = pb.OpenScan(series_instance_uid="1.2.3", station="CT1")
WATCHDOG_S = 0.4


def is_ready(message: dict[str, str]) -> bool:
    return "READY" in message


def is_alive(message: dict[str, str]) -> bool:
    return "WATCHDOG" in message


def test_from_start_to_stop(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with NotifySocket(str(tmp_path / "notify")) as heard:
        monkeypatch.setenv("NOTIFY_SOCKET", heard.address)
        monkeypatch.setenv("WATCHDOG_USEC", str(round(WATCHDOG_S * 1e6)))
        with Box(tmp_path, repository) as box:
            heard.await_message(is_ready)
            assert health_of(box.grpc) == health_pb2.HealthCheckResponse.SERVING
            call = Call(box.grpc, OPEN)
            call.send_slices(raw_slices()[:20])
            call.wait_for_answers(20)
            heard.await_message(lambda message: "scans in progress: 1" in message["STATUS"])
            call.close()
            heard.await_more("WATCHDOG", 4)
            assert box.stop() == 0
        heard.await_message(lambda message: "STOPPING" in message)
    words = [set(message) for message in heard.messages]
    ready_at = words.index({"READY", "STATUS"})
    assert ready_at >= 1
    assert all(before == {"STATUS", "EXTEND_TIMEOUT_USEC"} for before in words[:ready_at])
    assert "lung fp32 on openvino" in heard.messages[ready_at]["STATUS"]
    assert words[-1] == {"STOPPING", "STATUS", "EXTEND_TIMEOUT_USEC"}


def serve(folder: Path, repository: Path) -> list[str]:
    config = folder / "config.toml"
    config.write_text(f'[engine]\nrepository = "{repository}"\n')
    command = [sys.executable, "-m", "appliance.cli", "serve", "--config", str(config)]
    return [
        *command,
        *["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--state"],
        str(folder / "s"),
    ]


def test_told_to_stop_while_the_engines_warm_up_it_never_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with NotifySocket(str(tmp_path / "notify")) as heard:
        monkeypatch.setenv("NOTIFY_SOCKET", heard.address)
        process = subprocess.Popen(serve(tmp_path, SHIPPED), stdout=subprocess.PIPE)
        heard.await_message(lambda message: "EXTEND_TIMEOUT_USEC" in message)
        process.terminate()
        printed, _ = process.communicate(timeout=120)
        heard.await_message(lambda message: "STOPPING" in message)
    assert process.returncode == 0
    assert b"ready" not in printed
    assert not any(is_ready(message) for message in heard.messages)


def test_a_stop_does_not_wait_for_engines_that_load(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plans for a GPU can take minutes to build."""
    loading, released = threading.Event(), threading.Event()
    waited: list[bool] = []

    def load(pool: DevicePool) -> None:
        loading.set()
        waited.append(released.wait(10))

    monkeypatch.setattr(DevicePool, "load", load)
    config = Config.model_validate(
        {"storage": {"state_dir": str(tmp_path)}, "engine": {"repository": str(repository)}}
    )

    async def stop_while_they_load() -> None:
        starting = asyncio.create_task(Daemon(config).start())
        await asyncio.to_thread(loading.wait, 60)
        starting.cancel()
        await asyncio.wait({starting})
        assert starting.cancelled()
        assert not waited
        released.set()

    asyncio.run(stop_while_they_load())


def test_a_start_that_fails_is_never_ready(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = shutil.copytree(repository, tmp_path / "repository")
    with (copied / "lesion" / "1" / "model.onnx").open("ab") as damaged:
        damaged.write(b"one byte too many")
    with NotifySocket(str(tmp_path / "notify")) as heard:
        monkeypatch.setenv("NOTIFY_SOCKET", heard.address)
        done = subprocess.run(serve(tmp_path, copied), capture_output=True, text=True, timeout=120)
        heard.await_message(lambda message: "STOPPING" in message)
    assert done.returncode == 1
    assert "lesion" in done.stderr
    assert not any(is_ready(message) for message in heard.messages)


def health_of(target: str) -> health_pb2.HealthCheckResponse.ServingStatus:
    with grpc.insecure_channel(target) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        return stub.Check(health_pb2.HealthCheckRequest(), timeout=10).status


def test_a_hung_worker_is_not_called_alive(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engines hang as a lost device makes them hang: the call does not come back."""
    outcomes, hung, released = SlabInference.outcomes, threading.Event(), threading.Event()

    def hanging(inference: SlabInference, jobs: Sequence[Job]) -> Sequence[Outcome]:
        hung.set()
        assert released.wait(60)
        return outcomes(inference, jobs)

    monkeypatch.setattr(SlabInference, "outcomes", hanging)
    with (
        NotifySocket(str(tmp_path / "notify")) as heard,
        daemon_within(
            tmp_path / "state", repository, ServiceManager(heard.address, WATCHDOG_S), stall_s=1.5
        ) as addresses,
    ):
        heard.await_message(is_alive)
        call = Call(addresses.grpc, OPEN)
        call.send_slices(raw_slices())
        assert hung.wait(60)
        heard.await_message(lambda told: told["STATUS"].startswith("Not serving"), news=True)
        assert not any(is_alive(told) for told in heard.await_more("STATUS", 4))
        released.set()
        heard.await_message(is_alive, news=True)
        call.end()
        assert call.result().final_report.slices == len(raw_slices())


def test_a_disk_that_hangs_is_not_called_alive(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sync does not come back for a while; nothing more is kept meanwhile."""
    with NotifySocket(str(tmp_path / "notify")) as heard:
        monkeypatch.setenv("NOTIFY_SOCKET", heard.address)
        monkeypatch.setenv("WATCHDOG_USEC", str(round(WATCHDOG_S * 1e6)))
        monkeypatch.setenv(failpoints.VARIABLE, "spool.sync=sleep:2.5@3")
        with ForkedBox(tmp_path, repository, "[storage]\nbusy_s = 0.2\nstall_s = 0.5\n") as box:
            heard.await_message(is_alive)
            broken_off = send_scan(box.grpc, OPEN, raw_slices())
            assert broken_off.report is None
            told = heard.await_message(lambda told: "the disk hangs" in told["STATUS"])
            assert told["STATUS"].startswith("Not serving")
            assert not any(is_alive(told) for told in heard.await_more("STATUS", 3))
            heard.await_message(is_alive, news=True)
            answers = send_scan(box.grpc, OPEN, raw_slices())
            assert answers.opened is not None
            acknowledged = {ack.sop_instance_uid for ack in broken_off.acks}
            assert acknowledged <= {*answers.opened.kept_sop_instance_uids}
            assert answers.final_report.slices == len(raw_slices())


def test_results_are_opened_while_the_start_has_more_time(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many results take a while to be looked through after a kill."""
    opened = open_results

    with NotifySocket(str(tmp_path / "notify")) as heard:

        def slowly(*arguments: Any) -> ResultsStore:
            heard.await_message(lambda told: "EXTEND_TIMEOUT_USEC" in told, timeout_s=5)
            return opened(*arguments)

        monkeypatch.setattr("appliance.daemon.open_results", slowly)
        with daemon_within(tmp_path / "state", repository, ServiceManager(heard.address)):
            heard.await_message(is_ready)
