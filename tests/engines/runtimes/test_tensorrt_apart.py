"""A build in a process of its own: told, ended, crashed, orphaned. TensorRT-RTX builds for real."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from engines.models import SHIPPED, ModelSpec, half, load_spec
from engines.runtimes import RuntimeUnavailableError
from engines.runtimes.tensorrt.apart import build_apart, visible_gpu
from engines.runtimes.tensorrt.building import BuildError, Order, build_plan
from engines.runtimes.tensorrt.cache import PlanCache
from engines.runtimes.tensorrt.flavours import TENSORRT_RTX, Flavour
from engines.runtimes.tensorrt.plans import ensure_plan
from engines.stopping import LoadStoppedError, stoppable
from tests.tiny_models import write_tiny_repository


@pytest.fixture
def spec(tmp_path: Path) -> ModelSpec:
    return load_spec(write_tiny_repository(tmp_path / "models") / "lung")


@pytest.fixture
def order(spec: ModelSpec) -> Order:
    return Order(spec, "fp32", spec.artefact("fp32").path.read_bytes(), "sm_89", (1, 8))


def children() -> list[psutil.Process]:
    """The processes that build for this one."""
    there: list[psutil.Process] = psutil.Process().children()
    return [one for one in there if one.status() != psutil.STATUS_ZOMBIE and is_child(one)]


def is_child(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.ZombieProcess):
        return "engines.runtimes.tensorrt.child" in process.cmdline()
    return False


def test_it_builds_what_is_built_here(order: Order) -> None:
    phases: list[str] = []
    plan, timings = build_apart(TENSORRT_RTX, order, phases.append)
    assert len(plan) == len(build_plan(TENSORRT_RTX, order, lambda phase: None)[0])
    assert timings == b""
    assert "Building engine" in phases
    assert children() == []


def test_what_the_library_refuses_is_said_as_here(order: Order) -> None:
    broken = Order(order.spec, "fp32", b"no network", "sm_89", (1, 8))
    with pytest.raises(BuildError, match="lung fp32 for sm_89: the parser refuses the file"):
        build_apart(TENSORRT_RTX, broken, lambda phase: None)
    missing = Flavour("tensorrt", ("no_such_library",), "pip install it", ahead_of_time=True)
    with pytest.raises(RuntimeUnavailableError, match="no_such_library is not installed"):
        build_apart(missing, order, lambda phase: None)


def test_a_crash_is_a_build_that_failed() -> None:
    lesion = load_spec(SHIPPED / "lesion")  # large enough to be hit while it is built
    content = lesion.artefact("fp32").path.read_bytes()
    order = Order(lesion, "fp32", content, "sm_89", (1, 8))

    def crash(phase: str) -> None:
        for child in children():
            child.send_signal(signal.SIGSEGV)

    with pytest.raises(BuildError, match="tensorrt-rtx crashed while it built: SIGSEGV"):
        build_apart(TENSORRT_RTX, order, crash)


def test_a_child_that_does_not_take_its_task_is_a_build_that_failed(
    order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task is larger than a pipe, so that writing it fails, too."""
    monkeypatch.setattr("engines.runtimes.tensorrt.apart._CHILD", "no_such_module")
    large = replace(order, network=bytes(2**20))
    with pytest.raises(BuildError, match="tensorrt-rtx ended while it built, with status 1"):
        build_apart(TENSORRT_RTX, large, lambda phase: None)


def test_what_the_service_manager_tells_all_processes_does_not_end_a_build(order: Order) -> None:
    told: list[int] = []

    def terminate(phase: str) -> None:
        for child in children():
            child.terminate()
            told.append(child.pid)

    assert build_apart(TENSORRT_RTX, order, terminate)[0]
    assert told


def test_a_stop_ends_it_at_once(spec: ModelSpec, tmp_path: Path) -> None:
    cache, stop = PlanCache(tmp_path / "engines"), threading.Event()
    with stoppable(stop), pytest.raises(LoadStoppedError):
        ensure_plan(TENSORRT_RTX, spec, half(spec), cache, "sm_89", tell=lambda phase: stop.set())
    assert children() == []
    assert list(cache.folder.glob("*.plan")) == []
    assert ensure_plan(TENSORRT_RTX, spec, half(spec), cache, "sm_89").built


def test_a_stop_does_not_wait_for_the_build_of_another(spec: ModelSpec, tmp_path: Path) -> None:
    cache, stop = PlanCache(tmp_path / "engines"), threading.Event()
    threading.Timer(0.2, stop.set).start()
    with cache.locked(), stoppable(stop), pytest.raises(LoadStoppedError):
        ensure_plan(TENSORRT_RTX, spec, half(spec), cache, "sm_89")


def test_nobody_goes_on_building_for_a_process_that_was_killed(
    spec: ModelSpec, tmp_path: Path
) -> None:
    program = f"""
import os, signal, psutil
from pathlib import Path
from engines.models import half, load_spec
from engines.runtimes.tensorrt.cache import PlanCache
from engines.runtimes.tensorrt.flavours import TENSORRT_RTX
from engines.runtimes.tensorrt.plans import ensure_plan
def tell(phase):
    (child,) = psutil.Process().children()
    child.suspend()
    print(child.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
spec = load_spec(Path({str(spec.artefacts[0].path.parent.parent)!r}))
ensure_plan(TENSORRT_RTX, spec, half(spec), PlanCache(Path({str(tmp_path)!r})), "sm_89", tell)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    until = time.monotonic() + 10
    while psutil.pid_exists(int(ran.stdout)):
        if psutil.Process(int(ran.stdout)).status() == psutil.STATUS_ZOMBIE:
            break
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("shown", "ordinal", "expected"),
    [(None, 1, "1"), ("2,3", 1, "3"), ("GPU-5e, MIG-1a", 1, "MIG-1a"), ("7", 0, "7")],
)
def test_the_child_sees_the_gpu_it_builds_for(
    shown: str | None, ordinal: int, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if shown is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
    assert visible_gpu(ordinal) == expected
    assert "CUDA_VISIBLE_DEVICES" in os.environ or shown is None


@pytest.mark.parametrize("fault", ["file", "full"])
def test_what_cannot_be_kept_is_served_from_memory(
    fault: str, spec: ModelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = PlanCache(tmp_path / "engines")
    if fault == "file":
        cache.folder.touch()
    else:

        def full(fd: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
    plan = ensure_plan(TENSORRT_RTX, spec, half(spec), cache, "sm_89")
    assert plan.built
    assert plan.content
    assert ("No space left" if fault == "full" else "File exists") in plan.unkept
    assert cache.find(plan.key) is None
