"""What the CUDA driver says of this machine, asked of the driver itself, without PyCUDA.

References
----------
CUDA Driver API: cuInit, cuDriverGetVersion, cuDeviceGetCount, cuDeviceGetName,
cuDeviceGetAttribute, cuGetErrorName.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path

_SUCCESS, _NO_DEVICE = 0, 100  # CUresult
_NAME_LENGTH = 256
_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76  # CUdevice_attribute
_KERNEL_MODULE = Path("/proc/driver/nvidia/version")


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU that CUDA can use.

    Parameters
    ----------
    name
        As the driver calls it.
    capability
        Its compute capability as "sm_89".
    ordinal
        Its number among those that CUDA shows this process (CUDA_VISIBLE_DEVICES).
    """

    name: str
    capability: str
    ordinal: int = 0


def gpus() -> list[Gpu]:
    """The GPUs that the CUDA driver shows, in its order; none without a driver."""
    cuda = _library()
    count = ctypes.c_int()
    if cuda is None or cuda.cuInit(0) != _SUCCESS:
        return []
    if cuda.cuDeviceGetCount(ctypes.byref(count)) != _SUCCESS:
        return []
    found = (_gpu(cuda, device) for device in range(count.value))
    return [gpu for gpu in found if gpu]


def trouble() -> str | None:
    """Why CUDA cannot start where there is a driver, as "cuInit: CUDA_ERROR_SYSTEM_NOT_READY"."""
    cuda = _library()
    if cuda is None or (code := cuda.cuInit(0)) in (_SUCCESS, _NO_DEVICE):
        return None
    name = ctypes.c_char_p()
    cuda.cuGetErrorName(code, ctypes.byref(name))
    return f"cuInit: {name.value.decode() if name.value else code}"


def cuda_version() -> str | None:
    """The newest CUDA that the driver serves, as "13.0", or None without libcuda."""
    cuda = _library()
    number = ctypes.c_int()
    if cuda is None or cuda.cuDriverGetVersion(ctypes.byref(number)) != _SUCCESS:
        return None
    return f"{number.value // 1000}.{number.value % 1000 // 10}"


def kernel_module() -> str | None:
    """The first line the NVIDIA kernel module says of itself, or None when it is not loaded."""
    try:
        return _KERNEL_MODULE.read_text(encoding="utf-8").splitlines()[0]
    except (OSError, IndexError):
        return None


def _library() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None


def _gpu(cuda: ctypes.CDLL, ordinal: int) -> Gpu | None:
    """One of the GPUs; None when it does not answer."""
    device, name = ctypes.c_int(), ctypes.create_string_buffer(_NAME_LENGTH)
    if cuda.cuDeviceGet(ctypes.byref(device), ordinal) != _SUCCESS:
        return None
    if cuda.cuDeviceGetName(name, _NAME_LENGTH, device) != _SUCCESS:
        return None
    major, minor = (
        _attribute(cuda, device, which) for which in (_CAPABILITY_MAJOR, _CAPABILITY_MINOR)
    )
    return Gpu(name.value.decode(), f"sm_{major}{minor}", ordinal)


def _attribute(cuda: ctypes.CDLL, device: ctypes.c_int, which: int) -> int:
    value = ctypes.c_int()
    cuda.cuDeviceGetAttribute(ctypes.byref(value), which, device)
    return value.value
