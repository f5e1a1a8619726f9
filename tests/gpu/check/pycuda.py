"""PyCUDA: memory, stream and event of the GPU, as the engines use them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from engines.runtimes.base import DeviceError
from engines.runtimes.tensorrt.cuda import CudaDevice, cuda_device
from tests.gpu.check.parts import Choice, Found, Row
from tests.gpu.check.timing import seconds

_BYTES = 2**26
_FETCHED = 4


def check_pycuda(choice: Choice) -> Found:
    """Copies that come back as they went, how fast they are, and an error that names its call."""
    device = cuda_device(0)
    with device.working():
        rows = [*_copies(device, choice.enough_s), _small(device, choice.enough_s)]
    return Found([*rows, _named_error(device)])


def _copies(device: CudaDevice, enough_s: float) -> list[Row]:
    host = device.cuda.pagelocked_empty(_BYTES, np.uint8)
    host[:] = np.random.default_rng(1).integers(0, 256, _BYTES, np.uint8)
    first, second = device.allocate(_BYTES), device.allocate(_BYTES)

    def to_device() -> None:
        device.cuda.memcpy_htod_async(int(first), host, device.queue)
        device.synchronize()

    def within() -> None:
        device.copy(int(second), int(first), _BYTES)
        device.synchronize()

    def to_host() -> np.ndarray:
        return device.fetch(int(second), _BYTES)

    rows = [_bandwidth("pinned host to device", to_device, _BYTES, enough_s)]
    rows.append(_bandwidth("within the device, read and written", within, 2 * _BYTES, enough_s))
    rows.append(_bandwidth("device to host, and out of pinned memory", to_host, _BYTES, enough_s))
    rows[-1]["ok"] = np.array_equal(to_host(), host)
    return rows


def _bandwidth(what: str, call: Callable[[], object], size: int, enough_s: float) -> Row:
    taken = seconds(call, enough_s)
    return {"what": what, "GB/s": size / taken / 1e9, "us": 1e6 * taken, "ok": True}


def _small(device: CudaDevice, enough_s: float) -> Row:
    """What waiting for the stream costs, and that a copy waits for what was asked before it."""
    memory = device.allocate(2 * _FETCHED)
    found: list[bool] = []

    def turn() -> None:
        value = np.uint32(len(found))
        device.cuda.memcpy_htod_async(int(memory), np.array([value]), device.queue)
        device.copy(int(memory) + _FETCHED, int(memory), _FETCHED)
        back = device.fetch(int(memory) + _FETCHED, _FETCHED).view(np.uint32)
        found.append(bool(back[0] == value))

    taken = seconds(turn, enough_s)
    return {"what": "three small copies in order", "us": 1e6 * taken, "ok": all(found)}


def _named_error(device: CudaDevice) -> Row:
    row: Row = {"what": "an error names its call"}
    try:
        with device.working():
            device.allocate(2**60)
    except DeviceError as error:
        return row | {"found": str(error), "ok": "cuMemAlloc" in str(error)}
    return row | {"found": "no error", "ok": False}
