"""TensorRT as a runtime: what it says where it cannot run, and when it is chosen."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from engines.models import load_spec
from engines.runtimes import RUNTIMES, RuntimeUnavailableError, choose
from engines.runtimes.tensorrt.driver import gpus
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


def test_the_libraries_are_imported_only_when_they_are_used() -> None:
    program = (
        "import sys; import engines.runtimes as r; r.choose('openvino')\n"
        "[one.unavailable() for one in r.RUNTIMES.values()]\n"
        "print([n for n in ('tensorrt_rtx_bindings', 'tensorrt', 'pycuda') if n in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout.strip() == "[]", ran.stderr
