"""A runtime with as many devices as a test wants, each OpenVINO on the CPU, that can be lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engines.models import Artefact, ModelSpec
from engines.runtimes import RUNTIMES, ArtefactRefusedError, DeviceLostError, Executable, Runtime

_CPU = RUNTIMES["openvino"]


class BenchDevice:
    """A device; once `armed` it counts its calls and fails as told.

    Parameters
    ----------
    kind
        What it calls itself in words.
    """

    name = "bench"
    precisions, dialects, by_name_only = _CPU.precisions, _CPU.dialects, True

    def __init__(self, kind: str) -> None:
        self.kind = kind
        #: Precisions of which the fastest serves.
        self.timed: tuple[str, ...] = ()
        #: Further seconds that a call takes, by precision.
        self.slower: dict[str, float] = {}
        #: Precisions that it refuses to load.
        self.refuses: set[str] = set()
        #: Precisions in which it answers wrongly.
        self.errs: set[str] = set()
        #: What was loaded onto it.
        self.loaded: list[str] = []
        self.armed = False
        self.calls = 0
        #: Calls from this one on fail, as many as `failures` says (None: all).
        self.fails_from: int | None = None
        self.failures: int | None = None
        self.error: type[Exception] = DeviceLostError
        self.failed = threading.Event()
        #: Calls wait until this is set.
        self.gate: threading.Event | None = None
        #: The first call waits here for those of other devices.
        self.together: threading.Barrier | None = None
        self.loads_fail = False
        self.there = True

    def version(self) -> str:
        return "bench 1"

    def missing(self) -> str | None:
        return None

    def unavailable(self) -> str | None:
        return None if self.there else "the device is not there"

    def device(self) -> str:
        return self.kind

    def load(self, spec: ModelSpec, artefact: Artefact) -> Executable:
        if self.loads_fail:
            raise self.error("the device does not answer")
        if artefact.precision in self.refuses:
            raise ArtefactRefusedError(f"{spec.name}: no {artefact.precision} plan for this device")
        self.loaded.append(f"{spec.name} {artefact.precision}")
        return _BenchExecutable(_CPU.load(spec, artefact), self, artefact.precision)

    def use(self) -> None:
        """Called before each inference."""
        if not self.armed:
            return
        if self.gate:
            assert self.gate.wait(60)
        self.calls += 1
        if self.together and self.calls == 1:
            self.together.wait(60)
        if self._is_to_fail():
            self.failed.set()
            raise self.error("memcpy_htod_async failed: an illegal memory access")

    def _is_to_fail(self) -> bool:
        if self.fails_from is None or self.calls < self.fails_from:
            return False
        return self.failures is None or self.calls < self.fails_from + self.failures


@dataclass(frozen=True, slots=True)
class _BenchExecutable:
    inner: Executable
    device: BenchDevice
    precision: str

    def run(self, slabs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        self.device.use()
        time.sleep(self.device.slower.get(self.precision, 0.0))
        answers = self.inner.run(slabs)
        return answers * np.float32("nan") if self.precision in self.device.errs else answers


class BenchRuntime(BenchDevice):
    """The runtime of some devices; by itself it is the first of them.

    Parameters
    ----------
    kinds
        What each device calls itself, by short name.
    """

    def __init__(self, **kinds: str) -> None:
        super().__init__(next(iter(kinds.values())))
        self.devices = {name: BenchDevice(kind) for name, kind in kinds.items()}

    def by_device(self) -> Mapping[str, Runtime]:
        return self.devices

    def arm(self) -> None:
        """From now on calls count: the warm-up is over."""
        for device in self.devices.values():
            device.armed = True

    def time_precisions(self, *timed: str) -> None:
        """The fastest of these serves."""
        for device in (self, *self.devices.values()):
            device.timed = timed

    def work_together(self) -> None:
        """No device goes on before each has been called."""
        barrier = threading.Barrier(len(self.devices))
        for device in self.devices.values():
            device.together = barrier


#: Makes a runtime known, given what each of its devices calls itself.
Registering = Callable[..., BenchRuntime]
