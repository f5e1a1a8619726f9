"""A GPU through PyCUDA: context, stream, event, memory, and the kernels of the house.

The context is the device's primary one, which DALI and TensorRT use, too. Whichever thread
works makes it current for as long as it works. One stream carries everything, so things
happen in the order in which they are asked for.
"""

from __future__ import annotations

import functools
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from engines.device.base import PTX, Kernel
from engines.runtimes.base import RuntimeUnavailableError
from engines.runtimes.tensorrt.faults import named_fault

_BLOCK = 256
#: Tables of kernels that may wait at once, bytes.
_TABLE_BYTES = 2**20
_ALIGNMENT = 16
#: Pinned memory for either way, until more is needed: 16 masks of 512 x 512, bytes.
_PINNED_BYTES = 2**19


class CudaDevice:
    """One GPU; see :class:`engines.device.base.ComputeDevice`.

    Parameters
    ----------
    ordinal
        Its number, in the driver's order.

    Raises
    ------
    DeviceError
        When a CUDA call fails.
    RuntimeUnavailableError
        When PyCUDA cannot be loaded.
    """

    def __init__(self, ordinal: int) -> None:
        self.cuda = cuda = load_pycuda()
        self.ordinal, self.name = ordinal, f"gpu{ordinal}"
        self._lock = threading.RLock()
        self._dropped: deque[Any] = deque()
        try:
            cuda.init()
            self._context = cuda.Device(ordinal).retain_primary_context()
        except cuda.Error as error:
            raise named_fault(self.name, error) from error
        with self.working():
            self.queue = cuda.Stream()
            flags = cuda.event_flags
            self._done = cuda.Event(flags.BLOCKING_SYNC | flags.DISABLE_TIMING)
            module = cuda.module_from_buffer(PTX.read_bytes() + b"\0")
            self._kernels = {
                "combine": module.get_function("combine").prepare("PPI"),
                "coarsen": module.get_function("coarsen").prepare("PI"),
                "restore": module.get_function("restore").prepare("PI"),
            }
            self._tables = _Tables(cuda, self.queue, self.synchronize)
            self._inward, self._outward = _Pinned(cuda), _Pinned(cuda)
            self._sending = False
            self._held: list[object] = []

    @property
    def stream(self) -> int:
        handle: int = self.queue.handle
        return handle

    @contextmanager
    def working(self) -> Iterator[None]:
        try:
            with self._lock:
                self._context.push()
                try:
                    self._dropped.clear()
                    yield
                finally:
                    self._context.pop()
        except self.cuda.Error as error:
            raise named_fault(self.name, error) from error

    def allocate(self, size: int) -> DeviceMemory:
        return DeviceMemory(self.cuda.mem_alloc(size), self._dropped)

    def copy(self, target: int, source: int, size: int) -> None:
        self.cuda.memcpy_dtod_async(target, source, size, self.queue)

    def hold(self, owner: object) -> None:
        self._held.append(owner)

    def launch(
        self, kernel: Kernel, tables: Sequence[npt.NDArray[Any]], width: int, count: int
    ) -> None:
        addresses = self._tables.addresses(tables)
        grid, block = (-(-width // _BLOCK), count), (_BLOCK, 1, 1)
        self._kernels[kernel].prepared_async_call(grid, block, self.queue, *addresses, width)

    def fetch(self, address: int, size: int) -> npt.NDArray[np.uint8]:
        pinned = self._outward.part(size)
        self.cuda.memcpy_dtoh_async(pinned, address, self.queue)
        self.synchronize()
        return pinned.copy()

    def send(self, address: int, content: npt.NDArray[Any]) -> None:
        """Copy an array of the host to an address, through pinned memory."""
        if self._sending:
            self.synchronize()
        pinned = self._inward.part(content.nbytes)
        pinned.view(content.dtype).reshape(content.shape)[...] = content
        self.cuda.memcpy_htod_async(address, pinned, self.queue)
        self._sending = True

    def synchronize(self) -> None:
        """Wait, without burning a core, until all that was asked for has happened."""
        self._done.record(self.queue)
        self._done.synchronize()
        self._tables.reuse()
        self._sending = False
        self._held.clear()


class DeviceMemory:
    """Memory on the device; its address is its integer.

    PyCUDA frees memory where its context is current, and only warns elsewhere. Whoever
    drops this may be any thread, so the device frees it when it is next worked on.
    """

    __slots__ = ("_allocation", "_dropped")

    def __init__(self, allocation: Any, dropped: deque[Any]) -> None:
        self._allocation, self._dropped = allocation, dropped

    def __int__(self) -> int:
        return int(self._allocation)

    def __del__(self) -> None:
        self._dropped.append(self._allocation)


class _Pinned:
    """Pinned memory of the host; grows with what is asked for."""

    def __init__(self, cuda: Any) -> None:
        self._cuda = cuda
        self._memory: npt.NDArray[np.uint8] = cuda.pagelocked_empty(_PINNED_BYTES, np.uint8)

    def part(self, size: int) -> npt.NDArray[np.uint8]:
        """So many bytes, the same each time."""
        if len(self._memory) < size:
            self._memory = self._cuda.pagelocked_empty(size, np.uint8)
        return self._memory[:size]


class _Tables:
    """Tables on their way to kernels that wait: pinned memory and as much on the device."""

    def __init__(self, cuda: Any, queue: Any, synchronize: Callable[[], None]) -> None:
        self._cuda, self._queue, self._synchronize = cuda, queue, synchronize
        self._host = cuda.pagelocked_empty(_TABLE_BYTES, np.uint8)
        self._device = cuda.mem_alloc(_TABLE_BYTES)
        self._used = 0

    def reuse(self) -> None:
        """Nothing waits any more."""
        self._used = 0

    def addresses(self, tables: Sequence[npt.NDArray[Any]]) -> list[int]:
        """Copies of some tables on the device, whole until `reuse`."""
        sizes = [-(-table.nbytes // _ALIGNMENT) * _ALIGNMENT for table in tables]
        if self._used + sum(sizes) > _TABLE_BYTES:
            self._synchronize()
        found = []
        first = self._used
        for table, size in zip(tables, sizes, strict=True):
            content = np.frombuffer(table.tobytes(), np.uint8)
            self._host[self._used : self._used + len(content)] = content
            found.append(int(self._device) + self._used)
            self._used += size
        part = self._host[first : self._used]
        self._cuda.memcpy_htod_async(int(self._device) + first, part, self._queue)
        return found


@functools.cache
def cuda_device(ordinal: int) -> CudaDevice:
    """The one object of a GPU in this process; parameters and errors of :class:`CudaDevice`."""
    return CudaDevice(ordinal)


def load_pycuda() -> Any:
    """The module of PyCUDA's driver API.

    Raises
    ------
    RuntimeUnavailableError
        When it cannot be loaded.
    """
    try:
        import pycuda.driver
    except ImportError as error:
        raise RuntimeUnavailableError(f"pycuda cannot be loaded: {error}") from error
    # What is left when the process ends goes with it; PyCUDA would say so, line by line.
    warnings.filterwarnings("ignore", ".* in out-of-thread context could not be cleaned up")
    return pycuda.driver
