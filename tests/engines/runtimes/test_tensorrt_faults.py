"""Which failures of CUDA lose the device."""

from __future__ import annotations

from pathlib import Path

import pytest
from nvidia import dali

from engines.runtimes import DeviceError, DeviceLostError
from engines.runtimes.tensorrt.faults import GONE, NO_MEMORY, STICKY, named_fault

#: Texts of CUDA that tell of a wrong call, not of a lost device.
PASSING = (
    "invalid argument",
    "invalid resource handle",
    "too many resources requested for launch",
    "device kernel image is invalid",
    "no kernel image is available for execution on the device",
    "operation not permitted",
    "device not ready",
    "peer access has not been enabled",
)


@pytest.fixture(scope="module")
def libraries() -> bytes:
    """A library with CUDA's own texts in it, and TensorRT's."""
    import tensorrt_rtx_libs

    (rtx,) = Path(tensorrt_rtx_libs.__path__[0]).glob("libtensorrt_rtx.so.*")
    return (Path(dali.__file__).parent / "libdali_core.so").read_bytes() + rtx.read_bytes()


def test_the_texts_are_those_of_the_libraries(libraries: bytes) -> None:
    texts = (*STICKY, *GONE, *NO_MEMORY, *PASSING)
    assert [text for text in texts if text.encode() not in libraries] == []


@pytest.mark.parametrize(("text", "code"), [*STICKY.items(), *GONE.items(), *NO_MEMORY.items()])
@pytest.mark.parametrize(
    "said",
    [
        "cuStreamSynchronize failed: {}",
        "execute_async_v3 failed: [runner.cpp::run::1] Error Code 1: Cuda Runtime ({})",
    ],
)
def test_after_these_the_device_is_lost(text: str, code: str, said: str) -> None:
    fault = named_fault("lung", RuntimeError(said.format(text)))
    assert isinstance(fault, DeviceLostError)
    assert str(fault) == f"lung: {said.format(text)} ({code})"


@pytest.mark.parametrize("text", PASSING)
def test_after_these_it_is_tried_again(text: str) -> None:
    fault = named_fault("lung", RuntimeError(f"cuMemcpyHtoDAsync_v2 failed: {text}"))
    assert type(fault) is DeviceError
    assert str(fault) == f"lung: cuMemcpyHtoDAsync_v2 failed: {text}"


def test_a_fault_that_has_its_name_keeps_it() -> None:
    assert str(named_fault("lung", DeviceError("lung: it failed"))) == "lung: it failed"
    lost = named_fault("lung", DeviceLostError("lung: gone"))
    assert isinstance(lost, DeviceLostError)
    assert str(lost) == "lung: gone"
