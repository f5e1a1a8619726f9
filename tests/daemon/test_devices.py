"""A daemon with several devices: scans are spread, and none is lost with a device."""

from __future__ import annotations

import os
import re
import signal
import threading
import urllib.request
from pathlib import Path

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from appliance.config import Config
from appliance.running import run
from breathhold.v1 import model_pb2, model_pb2_grpc, types_pb2
from breathhold.v1 import scan_pb2 as pb
from engines import timing
from engines.folder import ENVIRONMENT
from engines.models import SHIPPED, Artefact, ModelSpec, half, load_spec
from engines.runtimes import Executable, choose
from engines.runtimes.tensorrt.cache import PlanCache
from engines.runtimes.tensorrt.flavours import TENSORRT_RTX
from engines.runtimes.tensorrt.plans import ensure_plan
from tests.bench_runtime import Registering
from tests.box import Answers, Call, send_scan
from tests.daemon.test_faults_within import daemon_within
from tests.engines.device.host_device import HostDevice, HostDeviceRuntime, kernel_library
from tests.faults.test_faults import eventually
from tests.gated_models import with_int8
from tests.made_scans import raw_slices
from tests.tiny_models import SIZE, write_tiny_repository

OPEN = pb.OpenScan(series_instance_uid="1.2.3", station="CT1", send_masks=True)
COUNT, SPACING_MM = 120, 1.25


@pytest.fixture(scope="module")
def undisturbed(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """The scan on one OpenVINO worker."""
    with daemon_within(tmp_path_factory.mktemp("state"), repository, runtime="openvino") as box:
        return send_scan(box.grpc, OPEN, slices())


def slices() -> list[pb.Slice]:
    return raw_slices(COUNT, SPACING_MM)


def masks(answers: Answers) -> dict[str, tuple[int, ...]]:
    """The last mask of each slice; how often one was revised depends on the time."""
    return {uid: tuple(mask.runs) for uid, mask in answers.masks.items()}


def lost(report: types_pb2.Report) -> list[str]:
    return [one.message for one in report.warnings if one.reason == "DEVICE_LOST"]


def without_losses(report: types_pb2.Report) -> types_pb2.Report:
    kept = [one for one in report.warnings if one.reason != "DEVICE_LOST"]
    del report.warnings[:]
    report.warnings.extend(kept)
    return report


def devices_of(target: str) -> dict[str, str]:
    with grpc.insecure_channel(target) as channel:
        stub = model_pb2_grpc.ModelServiceStub(channel)
        answer = stub.ListModels(model_pb2.ListModelsRequest(), timeout=10)
    return {one.name: model_pb2.DeviceState.Name(one.state) for one in answer.devices}


def runtimes_of(target: str) -> set[str]:
    with grpc.insecure_channel(target) as channel:
        stub = model_pb2_grpc.ModelServiceStub(channel)
        return {one.runtime for one in stub.ListModels(model_pb2.ListModelsRequest()).models}


def health_of(target: str) -> int:
    with grpc.insecure_channel(target) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        status: int = stub.Check(health_pb2.HealthCheckRequest(), timeout=10).status
    return status


def metrics_of(http: str) -> str:
    with urllib.request.urlopen(f"http://{http}/metrics", timeout=10) as response:
        text: str = response.read().decode()
    return text


def test_a_scan_is_spread_over_two_devices_and_its_report_is_that_of_one(
    repository: Path, tmp_path: Path, bench: Registering, undisturbed: Answers
) -> None:
    runtime = bench(a="x", b="x")
    runtime.work_together()
    with daemon_within(tmp_path, repository, runtime="bench") as addresses:
        runtime.arm()
        found = send_scan(addresses.grpc, OPEN, slices())
        assert devices_of(addresses.grpc) == dict.fromkeys("ab", "DEVICE_STATE_SERVING")
        assert 'breathhold_devices{state="serving"} 2.0' in metrics_of(addresses.http)
    assert all(device.calls for device in runtime.devices.values())
    assert found.final_report == undisturbed.final_report
    assert masks(found) == masks(undisturbed)
    assert len(masks(found)) == COUNT


def test_a_device_lost_in_the_middle_of_a_scan_costs_only_a_warning(
    repository: Path, tmp_path: Path, bench: Registering, undisturbed: Answers
) -> None:
    runtime = bench(a="x", b="x")
    runtime.devices["b"].fails_from = 5
    runtime.devices["a"].gate = runtime.devices["b"].failed
    with daemon_within(tmp_path, repository, runtime="bench") as addresses:
        runtime.arm()
        found = send_scan(addresses.grpc, OPEN, slices())
        assert health_of(addresses.grpc) == health_pb2.HealthCheckResponse.SERVING
        assert devices_of(addresses.grpc) == {
            "a": "DEVICE_STATE_SERVING",
            "b": "DEVICE_STATE_LOST",
        }
        text = metrics_of(addresses.http)
        assert 'breathhold_devices{state="serving"} 1.0' in text
        assert 'breathhold_devices{state="lost"} 1.0' in text
        other = pb.OpenScan(series_instance_uid="1.2.4", station="CT1")
        later = send_scan(addresses.grpc, other, raw_slices(series="1.2.4"))
    report = found.final_report
    assert lost(report) == [
        "The inference device b was lost; what was inferred since then comes from a."
    ]
    assert lost(later.final_report) == lost(report)
    assert [one.reason for one in found.warnings].count("DEVICE_LOST") == 1
    assert without_losses(report) == undisturbed.final_report
    assert masks(found) == masks(undisturbed)


def test_after_the_only_device_the_cpu_goes_on_with_the_scan(
    repository: Path, tmp_path: Path, bench: Registering, undisturbed: Answers
) -> None:
    runtime = bench(a="x")
    runtime.devices["a"].fails_from = 5
    with daemon_within(tmp_path, repository, runtime="bench") as addresses:
        runtime.arm()
        assert runtimes_of(addresses.grpc) == {"bench"}
        found = send_scan(addresses.grpc, OPEN, slices())
        assert health_of(addresses.grpc) == health_pb2.HealthCheckResponse.SERVING
        assert runtimes_of(addresses.grpc) == {"openvino"}
        assert devices_of(addresses.grpc) == {
            "a": "DEVICE_STATE_LOST",
            "cpu": "DEVICE_STATE_SERVING",
        }
    report = found.final_report
    assert len(lost(report)) == 1
    assert "from cpu" in lost(report)[0]
    assert without_losses(report) == undisturbed.final_report
    assert masks(found) == masks(undisturbed)


def test_a_scan_that_was_inferred_before_the_loss_carries_no_warning(
    repository: Path, tmp_path: Path, bench: Registering
) -> None:
    runtime = bench(a="x")
    with daemon_within(tmp_path, repository, runtime="bench") as addresses:
        runtime.arm()
        whole = pb.OpenScan(series_instance_uid="1.2.5", station="CT1", expected_slices=30)
        call = Call(addresses.grpc, whole)
        call.send_slices(raw_slices(series="1.2.5"))
        before = call.result()
        runtime.devices["a"].fails_from = runtime.devices["a"].calls + 1
        after = send_scan(addresses.grpc, OPEN, slices())
        again = send_scan(addresses.grpc, whole, [])
    assert not lost(before.final_report)
    assert again.final_report == before.final_report
    assert len(lost(after.final_report)) == 1
    assert after.final_report.slices == COUNT


def test_a_box_whose_named_devices_are_gone_serves_from_the_cpu(
    repository: Path, tmp_path: Path, undisturbed: Answers
) -> None:
    gone = {"runtime": "openvino", "devices": ["gpu0", "gpu1"]}
    with daemon_within(tmp_path, repository, **gone) as addresses:
        assert health_of(addresses.grpc) == health_pb2.HealthCheckResponse.SERVING
        assert devices_of(addresses.grpc) == {
            **dict.fromkeys(("gpu0", "gpu1"), "DEVICE_STATE_LOST"),
            "cpu": "DEVICE_STATE_SERVING",
        }
        found = send_scan(addresses.grpc, OPEN, slices())
    report = found.final_report
    assert len(lost(report)) == 2
    assert without_losses(report) == undisturbed.final_report


def test_a_box_whose_runtime_finds_no_device_serves_from_the_cpu(
    repository: Path, tmp_path: Path, bench: Registering, undisturbed: Answers
) -> None:
    bench(gpu0="x").there = False
    with daemon_within(tmp_path, repository, runtime="bench") as addresses:
        assert health_of(addresses.grpc) == health_pb2.HealthCheckResponse.SERVING
        assert devices_of(addresses.grpc) == {
            "bench": "DEVICE_STATE_LOST",
            "cpu": "DEVICE_STATE_SERVING",
        }
        assert 'breathhold_devices{state="lost"} 1.0' in metrics_of(addresses.http)
        found = send_scan(addresses.grpc, OPEN, slices())
    report = found.final_report
    assert lost(report) == [
        "The inference device bench was lost; what was inferred since then comes from cpu."
    ]
    assert without_losses(report) == undisturbed.final_report


def test_pixels_in_the_memory_of_a_device_are_counted(
    repository: Path, tmp_path: Path, bench: Registering, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = bench(a="x")
    device = HostDeviceRuntime(choose("openvino"), HostDevice(kernel_library(tmp_path)))
    monkeypatch.setattr(runtime.devices["a"], "load", device.load)
    with daemon_within(tmp_path / "state", repository, runtime="bench") as addresses:

        def held() -> float:
            name = "breathhold_device_pixel_cache_bytes "
            lines = metrics_of(addresses.http).splitlines()
            (line,) = [one for one in lines if one.startswith(name)]
            return float(line.removeprefix(name))

        assert held() == 0
        call = Call(addresses.grpc, OPEN)
        call.send_slices(raw_slices())
        assert eventually(lambda: held() >= 10 * SIZE**2)
        call.end()
        assert call.result().report
        assert eventually(lambda: held() == 0)


def test_what_was_timed_and_chosen_is_shown(
    tmp_path: Path, bench: Registering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "engines"))
    monkeypatch.setattr(timing, "_WARM_S", 0.0)
    monkeypatch.setattr(timing, "_ENOUGH_S", 0.0)
    repository = with_int8(write_tiny_repository(tmp_path / "models")).parent
    runtime = bench(a="x", b="x")
    runtime.time_precisions("int8", "fp32")
    for device in runtime.devices.values():
        device.slower = {"int8": 0.02}
    with daemon_within(tmp_path / "state", repository, runtime="bench") as addresses:
        with grpc.insecure_channel(addresses.grpc) as channel:
            stub = model_pb2_grpc.ModelServiceStub(channel)
            models = {
                model.role: model for model in stub.ListModels(model_pb2.ListModelsRequest()).models
            }
        text = metrics_of(addresses.http)
    lung = models["lung"]
    assert lung.reference.precision == "fp32"
    assert lung.seconds_per_slab["int8"] > lung.seconds_per_slab["fp32"] > 0
    assert re.fullmatch(r"[\d.]+ ms a slab in int8, [\d.]+ ms a slab in fp32", lung.chosen_because)
    assert not models["lesion"].seconds_per_slab
    assert models["lesion"].chosen_because == "there is no other"
    info = 'breathhold_engine_info{model="lung",precision="fp32",runtime="bench",version="1"}'
    assert f"{info} 1.0" in text
    timed = f'{{model="lung",precision="int8"}} {lung.seconds_per_slab["int8"]!r}'
    assert f"breathhold_slab_seconds_timed{timed}" in text
    assert runtime.devices["a"].loaded == ["lesion fp32", "lung int8", "lung fp32"]
    assert runtime.devices["b"].loaded == ["lesion fp32", "lung fp32"]


def test_a_stop_while_plans_are_built_waits_for_none_of_them(
    repository: Path, tmp_path: Path, bench: Registering, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The builds are TensorRT-RTX's, of shipped models, again and again."""
    runtime, cache = bench(a="x"), PlanCache(tmp_path / "engines")
    shipped = load_spec(SHIPPED / "lesion")
    building = threading.Event()

    def build_for_ever(spec: ModelSpec, artefact: Artefact) -> Executable:
        while True:
            ensure_plan(
                TENSORRT_RTX, shipped, half(shipped), cache, "sm_89",
                lambda phase: building.set(), again=True,
            )  # fmt: skip

    def terminate() -> None:
        assert building.wait(60)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(runtime.devices["a"], "load", build_for_ever)
    config = Config.model_validate(
        {
            "server": {"listen": "127.0.0.1:0", "http": "127.0.0.1:0"},
            "storage": {"state_dir": str(tmp_path / "state")},
            "engine": {"repository": str(repository), "runtime": "bench"},
        }
    )
    stopping = threading.Thread(target=terminate)
    stopping.start()
    run(config)
    stopping.join()
    for thread in threading.enumerate():
        if thread.name.startswith("engine-loader"):
            thread.join(10)
            assert not thread.is_alive()
    assert not any("child" in " ".join(one.cmdline()) for one in psutil.Process().children())
