"""TensorRT as a runtime: what it says where it cannot run, and when it is chosen."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from engines.models import ModelSpec, half, load_spec
from engines.runtimes import (
    RUNTIMES,
    ArtefactRefusedError,
    DeviceError,
    DeviceLostError,
    NoDeviceError,
    RuntimeUnavailableError,
    choose,
)
from engines.runtimes.tensorrt import flavours, plans
from engines.runtimes.tensorrt import runtime as tensorrt_runtime
from engines.runtimes.tensorrt.driver import Gpu, gpus
from engines.runtimes.tensorrt.executable import PlanRefusedError
from engines.runtimes.tensorrt.plans import Plan
from tests.tiny_models import write_tiny_repository

NAMES = ("tensorrt", "tensorrt-rtx")
no_gpu = pytest.mark.skipif(bool(gpus()), reason="there is a GPU here")


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    hidden = ("tensorrt", "tensorrt_rtx", "tensorrt_rtx_bindings", "pycuda")
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name in hidden else find(name)
    )


def test_the_gpu_comes_first_where_there_is_one() -> None:
    assert tuple(RUNTIMES)[:3] == (*NAMES, "openvino")
    for name in NAMES:
        assert not RUNTIMES[name].by_name_only


@no_gpu
def test_without_a_gpu_the_cpu_is_chosen() -> None:
    assert choose().name == "openvino"


@pytest.mark.usefixtures("nothing_installed")
@pytest.mark.parametrize("name", NAMES)
def test_all_that_is_missing_is_said_with_its_command(name: str) -> None:
    reason = RUNTIMES[name].unavailable()
    assert reason is not None
    package = name.replace("-", "_")
    assert f"the package {package} is not installed (pip install " in reason
    assert f"{name}-cu13" in reason
    assert "the package pycuda is not installed (CUDA_ROOT=" in reason
    assert ("no NVIDIA GPU" in reason) == (not gpus())


@no_gpu
@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_run_is_not_loaded(name: str, tmp_path: Path) -> None:
    spec = load_spec(write_tiny_repository(tmp_path) / "lung")
    runtime = RUNTIMES[name]
    with pytest.raises(RuntimeUnavailableError, match=f"{name}: .*no NVIDIA GPU"):
        runtime.load(spec, spec.artefact("fp32"))
    with pytest.raises(RuntimeUnavailableError, match=f"{name}: .*no NVIDIA GPU"):
        runtime.device()
    with pytest.raises(RuntimeUnavailableError, match=f"{name}: .*no NVIDIA GPU"):
        choose(name)


def test_the_version_is_the_librarys() -> None:
    distribution = importlib.metadata.version("tensorrt-rtx-cu13-bindings")
    assert RUNTIMES["tensorrt-rtx"].version() == f"tensorrt-rtx {distribution}"


@pytest.fixture
def half_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A box with a GPU, whose PyCUDA and TensorRT are there and cannot be loaded."""
    for name, library in (("pycuda", "libcuda.so.1"), ("tensorrt", "libnvinfer.so.10")):
        package = tmp_path / "packages" / name
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(f"raise ImportError('{library}: no such file')\n")
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(tmp_path / "packages")
    monkeypatch.setattr(tensorrt_runtime, "gpus", lambda: [Gpu("a GPU", "sm_89")])
    monkeypatch.setattr(flavours, "gpus", lambda: [Gpu("a GPU", "sm_89")])
    monkeypatch.setenv("BREATHHOLD_ENGINES", str(tmp_path / "engines"))


@no_gpu
@pytest.mark.usefixtures("half_installed")
def test_packages_that_cannot_be_loaded_leave_the_choice_to_the_cpu() -> None:
    reasons = [str(RUNTIMES[name].unavailable()) for name in NAMES]
    assert "tensorrt cannot be loaded: libnvinfer.so.10: no such file" in reasons[0]
    assert "pycuda cannot be loaded: libcuda.so.1: no such file" in reasons[1]
    assert choose().name == "openvino"
    for name in NAMES:
        with pytest.raises(NoDeviceError, match=f"{name}: .* cannot be loaded"):
            choose(name)


@no_gpu
@pytest.mark.usefixtures("half_installed")
def test_without_a_plan_the_device_is_what_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a daemon whose GPU gets no plan goes on without it."""
    monkeypatch.setattr(tensorrt_runtime, "load_pycuda", lambda: None)
    folder = write_tiny_repository(tmp_path / "models") / "lung"
    old = load_spec(folder).artefact("fp32")
    network = onnx.load(old.path)
    network.graph.node[0].op_type = "NoSuch"
    onnx.save(network, old.path)
    text = (folder / "spec.toml").read_text()
    new = hashlib.sha256(old.path.read_bytes()).hexdigest()
    (folder / "spec.toml").write_text(text.replace(old.sha256, new))
    spec = load_spec(folder)
    with pytest.raises(ArtefactRefusedError, match="lung: there is no fp32 plan for this GPU: "):
        RUNTIMES["tensorrt-rtx"].load(spec, spec.artefact("fp32"))
    assert issubclass(ArtefactRefusedError, DeviceError)


GPUS = [
    Gpu("NVIDIA L4", "sm_89", 0),
    Gpu("NVIDIA H200", "sm_90", 1),
    Gpu("NVIDIA L4", "sm_89", 2),
]


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[int, Plan]]:
    """A box with three GPUs, which notes the plan that is loaded onto each."""
    found: list[tuple[int, Plan]] = []

    def load(flavour: flavours.Flavour, spec: ModelSpec, plan: Plan, device: int) -> None:
        found.append((device, plan))

    for module in (tensorrt_runtime, flavours, plans):
        monkeypatch.setattr(module, "gpus", lambda: GPUS)
    find = importlib.util.find_spec
    there = importlib.util.find_spec("math")
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: there if name == "pycuda" else find(name)
    )
    monkeypatch.setattr(tensorrt_runtime, "load_pycuda", lambda: None)
    monkeypatch.setattr(tensorrt_runtime, "TensorRtExecutable", load)
    monkeypatch.setenv("BREATHHOLD_ENGINES", str(tmp_path / "engines"))
    return found


@no_gpu
def test_each_gpu_that_fits_is_a_device_and_equal_ones_share_plans(
    loaded: list[tuple[int, Plan]], tmp_path: Path
) -> None:
    spec = load_spec(write_tiny_repository(tmp_path / "models") / "lung")
    devices = RUNTIMES["tensorrt-rtx"].by_device()
    assert list(devices) == ["gpu0", "gpu2"], "TensorRT-RTX does not build for sm_90"
    words = {runtime.device() for runtime in devices.values()}
    assert words == {f"NVIDIA L4 (sm_89), {RUNTIMES['tensorrt-rtx'].version()}"}
    for runtime in devices.values():
        runtime.load(spec, half(spec))
    assert [device for device, _ in loaded] == [0, 2]
    assert [plan.built for _, plan in loaded] == [True, False]
    assert loaded[0][1].content == loaded[1][1].content


@no_gpu
def test_what_cannot_be_kept_serves_all_equal_gpus_with_a_warning(
    loaded: list[tuple[int, Plan]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spec = load_spec(write_tiny_repository(tmp_path / "models") / "lung")
    (tmp_path / "engines").touch()
    for runtime in RUNTIMES["tensorrt-rtx"].by_device().values():
        runtime.load(spec, spec.artefact("fp32"))
    assert loaded[0][1].content
    assert loaded[0][1] is loaded[1][1], "built twice it may differ"
    assert "cannot be kept" in caplog.text
    assert "is built again at each start" in caplog.text


@no_gpu
@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize(
    ("said", "error", "built"),
    [
        ("[runtime.cpp::1] Error Code 2: OutOfMemory", DeviceLostError, [False]),
        ("[runtime.cpp::1] Error Code 1: Serialization", ArtefactRefusedError, [False, True]),
    ],
)
def test_a_plan_that_is_refused_is_built_again_unless_memory_is_what_lacks(
    said: str,
    error: type[DeviceError],
    built: list[bool],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refused: list[Plan] = []

    def refuse(flavour: flavours.Flavour, spec: ModelSpec, plan: Plan, device: int) -> None:
        refused.append(plan)
        raise PlanRefusedError(f"{plan.path}: tensorrt-rtx cannot load it: {said}")

    spec = load_spec(write_tiny_repository(tmp_path / "models") / "lung")
    runtime = RUNTIMES["tensorrt-rtx"]
    runtime.load(spec, half(spec))
    monkeypatch.setattr(tensorrt_runtime, "TensorRtExecutable", refuse)
    with pytest.raises(error, match="lung: ") as caught:
        runtime.load(spec, half(spec))
    assert type(caught.value) is error
    assert [plan.built for plan in refused] == built


@no_gpu
@pytest.mark.usefixtures("loaded")
def test_a_gpu_that_is_gone_and_one_that_does_not_fit_are_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bound = RUNTIMES["tensorrt-rtx"].by_device()["gpu2"]
    monkeypatch.setattr(tensorrt_runtime, "gpus", lambda: GPUS[1:2])
    assert bound.unavailable() == "gpu2 is not there any more"
    with pytest.raises(NoDeviceError, match=r"it builds for .*sm_89.*, the GPU here is sm_90"):
        choose("tensorrt-rtx")


@no_gpu
@pytest.mark.usefixtures("nothing_installed")
def test_what_is_not_installed_is_no_lost_device() -> None:
    with pytest.raises(RuntimeUnavailableError, match="is not installed") as caught:
        choose("tensorrt")
    assert not isinstance(caught.value, NoDeviceError)


@no_gpu
def test_the_libraries_are_imported_only_when_they_are_used() -> None:
    program = (
        "import sys; import engines.runtimes as r; r.choose('openvino')\n"
        "[one.unavailable() for one in r.RUNTIMES.values()]\n"
        "print([n for n in ('tensorrt_rtx_bindings', 'tensorrt', 'pycuda') if n in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout.strip() == "[]", ran.stderr
