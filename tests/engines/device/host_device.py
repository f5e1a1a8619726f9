"""A device in the host's memory: the same interface, the same arithmetic, no GPU.

What is not here of a GPU is its order of work: everything is done when it is asked for.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from engines.device.base import PTX, Kernel
from engines.device.slabs import DeviceSlab, assemble
from engines.models import Artefact, ModelSpec
from engines.runtimes import Executable, Runtime

SOURCE = Path(__file__).with_name("kernels_host.cpp")


def kernel_library(folder: Path) -> ctypes.CDLL:
    """The kernels compiled for the host; skips the test without a compiler."""
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler is here to compile the kernels for the host")
    target = folder / "kernels.so"
    flags = ["-O2", "-ffp-contract=off", "-shared", "-fPIC", f"-I{PTX.parent}"]
    subprocess.run([compiler, *flags, "-o", target, SOURCE], check=True)
    return ctypes.CDLL(str(target))


class _Memory:
    """Bytes that are no number until something is written there."""

    def __init__(self, size: int) -> None:
        self._bytes = np.full(size, 0xFF, np.uint8)

    def __int__(self) -> int:
        return self._bytes.ctypes.data


class HostDevice:
    """See :class:`engines.device.base.ComputeDevice`; counts what comes back, bytes."""

    name = "host"
    ordinal: int | None = None
    stream: int | None = None

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library, self._lock = library, threading.RLock()
        self._depth = 0
        self.fetched_bytes = 0

    @contextmanager
    def working(self) -> Iterator[None]:
        with self._lock:
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1

    def allocate(self, size: int) -> _Memory:
        assert self._depth
        return _Memory(size)

    def copy(self, target: int, source: int, size: int) -> None:
        assert self._depth
        ctypes.memmove(target, source, size)

    def hold(self, owner: object) -> None:
        assert self._depth

    def launch(
        self, kernel: Kernel, tables: Sequence[npt.NDArray[Any]], width: int, count: int
    ) -> None:
        assert self._depth
        addresses = [ctypes.c_void_p(table.ctypes.data) for table in tables]
        getattr(self._library, kernel)(*addresses, ctypes.c_uint(width), ctypes.c_uint(count))

    def fetch(self, address: int, size: int) -> npt.NDArray[np.uint8]:
        assert self._depth
        self.fetched_bytes += size
        return np.frombuffer(ctypes.string_at(address, size), np.uint8)


class HostExecutable:
    """See :class:`engines.runtimes.DeviceExecutable`; `inner` is given what lies in its input."""

    def __init__(self, device: HostDevice, spec: ModelSpec, inner: Executable) -> None:
        self.device, self._spec, self._inner = device, spec, inner
        self.batch = 1 if spec.form == "block" else 3
        self._input = np.full((self.batch, spec.planes, *spec.size), np.nan, np.float32)
        self._output = np.full((self.batch, spec.output_planes, *spec.size), np.nan, np.float32)

    def run(self, slabs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return self._inner.run(slabs)

    def infer(self, slabs: Sequence[DeviceSlab]) -> list[int]:
        batch, planes, rows, columns = self._input.shape
        assemble(self.device, slabs, self._input.ctypes.data, batch * planes, rows * columns)
        assert not self._input[len(slabs) :].any()
        self._output[:] = self._inner.run(self._input).reshape(self._output.shape)
        return [answer.ctypes.data for answer in self._output[: len(slabs)]]


class HostDeviceRuntime:
    """A runtime whose executables take planes in the memory of a device."""

    def __init__(self, inner: Runtime, device: HostDevice) -> None:
        self._inner, self._device = inner, device

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def load(self, spec: ModelSpec, artefact: Artefact) -> HostExecutable:
        return HostExecutable(self._device, spec, self._inner.load(spec, artefact))
