"""What the CUDA driver is asked, answered by a driver that is not there."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest

from engines.runtimes import RUNTIMES
from engines.runtimes.tensorrt import driver
from engines.runtimes.tensorrt.driver import Gpu, cuda_version, gpus, trouble

NOT_READY = 802  # CUDA_ERROR_SYSTEM_NOT_READY


class Driver:
    """libcuda of a box with three GPUs, the second of which does not answer."""

    def __init__(self, init: int = 0) -> None:
        self.init = init

    def cuInit(self, flags: int) -> int:  # noqa: N802
        return self.init

    def cuGetErrorName(self, code: int, name: Any) -> int:  # noqa: N802
        name._obj.value = {NOT_READY: b"CUDA_ERROR_SYSTEM_NOT_READY"}.get(code)
        return 0

    def cuDriverGetVersion(self, version: Any) -> int:  # noqa: N802
        version._obj.value = 13020
        return 0

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802
        count._obj.value = 3
        return 0

    def cuDeviceGet(self, device: Any, ordinal: int) -> int:  # noqa: N802
        device._obj.value = ordinal
        return 999 if ordinal == 1 else 0

    def cuDeviceGetName(self, name: Any, length: int, device: ctypes.c_int) -> int:  # noqa: N802
        name.value = b"GPU %d" % device.value
        return 0

    def cuDeviceGetAttribute(  # noqa: N802
        self, value: Any, which: int, device: ctypes.c_int
    ) -> int:
        value._obj.value = {75: 8, 76: 9}[which]
        return 0


def test_a_gpu_keeps_its_number_when_another_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(driver, "_library", Driver)
    assert gpus() == [Gpu("GPU 0", "sm_89", 0), Gpu("GPU 2", "sm_89", 2)]
    assert cuda_version() == "13.2"
    assert trouble() is None


@pytest.mark.parametrize(
    ("code", "said"), [(NOT_READY, "cuInit: CUDA_ERROR_SYSTEM_NOT_READY"), (12345, "cuInit: 12345")]
)
def test_a_driver_that_cannot_start_says_why(
    code: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "_library", lambda: Driver(code))
    assert gpus() == []
    assert trouble() == said
    reason = RUNTIMES["tensorrt-rtx"].unavailable()
    assert reason is not None
    assert f"no NVIDIA GPU with a driver was found ({said})" in reason


@pytest.mark.parametrize("library", [None, Driver(100)])
def test_where_there_is_no_gpu_that_is_no_trouble(
    library: Driver | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "_library", lambda: library)
    assert gpus() == []
    assert trouble() is None
