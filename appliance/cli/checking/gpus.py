"""NVIDIA GPUs, asked of the driver itself."""

from __future__ import annotations

import ctypes

_NAME_LENGTH = 256
_SUCCESS = 0


def gpu_names() -> list[str]:
    """The names of the GPUs that the CUDA driver shows; none without a driver.

    References
    ----------
    CUDA Driver API: cuInit, cuDeviceGetCount, cuDeviceGetName.
    """
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return []
    count = ctypes.c_int()
    if cuda.cuInit(0) != _SUCCESS or cuda.cuDeviceGetCount(ctypes.byref(count)) != _SUCCESS:
        return []
    return [_name(cuda, number) for number in range(count.value)]


def _name(cuda: ctypes.CDLL, number: int) -> str:
    device, name = ctypes.c_int(), ctypes.create_string_buffer(_NAME_LENGTH)
    cuda.cuDeviceGet(ctypes.byref(device), number)
    cuda.cuDeviceGetName(name, _NAME_LENGTH, device)
    return name.value.decode()
