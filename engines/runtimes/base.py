"""What a runtime must be able to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from engines.device.base import ComputeDevice
from engines.device.slabs import DeviceSlab
from engines.models import Artefact, ModelSpec


class RuntimeUnavailableError(Exception):
    """The runtime cannot run on this machine; the message says what is missing."""


class NoDeviceError(RuntimeUnavailableError):
    """The runtime is installed; what it runs on is not there, or does not answer."""


class DeviceError(Exception):
    """The device failed while it ran; the message names the call that failed."""


class DeviceLostError(DeviceError):
    """The device can do no more in this process: an XID, no memory left, a sticky CUDA error."""


class ArtefactRefusedError(DeviceError):
    """The device cannot be given this artefact; another of the same model it may run."""


class Executable(Protocol):
    """A network loaded onto a device."""

    def run(self, slabs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Probabilities of some slabs.

        Parameters
        ----------
        slabs
            Shape (n, planes, rows, columns), any n.

        Returns
        -------
        Shape (n, rows, columns), or (n, planes, rows, columns) of a block model.
        Each result depends on its own slab alone, bit for bit, whatever shares
        the call: every inference runs in one fixed shape. Any thread may call it.

        Raises
        ------
        DeviceError
            When the device fails; DeviceLostError when it is known not to come back.
        """
        ...


@runtime_checkable
class DeviceExecutable(Executable, Protocol):
    """A network whose slabs and answers can stay in the memory of its device."""

    @property
    def device(self) -> ComputeDevice: ...

    @property
    def batch(self) -> int:
        """Slabs of every inference."""
        ...

    def infer(self, slabs: Sequence[DeviceSlab]) -> list[int]:
        """Ask for the answers to at most `batch` slabs; only inside ``device.working()``.

        Parameters
        ----------
        slabs
            Planes in the memory of `device`.

        Returns
        -------
        The address of each answer there: float32, laid out as `run` gives it. What is asked
        of the device next finds it there, until the next inference.

        Raises
        ------
        DeviceError
            When the device fails.
        """
        ...


class Runtime(Protocol):
    """A back end on one device.

    Parameters
    ----------
    name
        As the configuration calls it.
    precisions
        What it can execute, the preferred one first; "fp16" where it makes that of fp32.
    timed
        Those of which the fastest serves; empty where the preferred one serves untimed.
    dialects
        The dialects of Q/DQ it executes exactly, the preferred one first.
    by_name_only
        Never chosen unless named.
    """

    name: str
    precisions: tuple[str, ...]
    timed: tuple[str, ...]
    dialects: tuple[str, ...]
    by_name_only: bool

    def version(self) -> str:
        """Its name and version, as a record of a measurement gives them."""
        ...

    def unavailable(self) -> str | None:
        """Why it cannot run here, with what to install, or None when it can."""
        ...

    def device(self) -> str:
        """What it would run on, in words."""
        ...

    def load(self, spec: ModelSpec, artefact: Artefact) -> Executable:
        """Load one artefact.

        Raises
        ------
        RuntimeUnavailableError
            When the runtime cannot run here.
        ModelError
            When the artefact cannot be read.
        ArtefactRefusedError
            When the device cannot run it.
        DeviceError
            When the device fails.
        """
        ...


class InstalledRuntime(Runtime, Protocol):
    """A runtime as the registry knows it: on its first device, unless told another."""

    def missing(self) -> str | None:
        """What is not installed that it needs, with the command; None when all is there."""
        ...

    def by_device(self) -> Mapping[str, Runtime]:
        """Itself on each device that it can use here, by the device's short name ("cpu", "gpu0").

        Devices of which `device` says the same in words give the same results, bit for bit.

        Raises
        ------
        RuntimeUnavailableError
            When the runtime cannot run here.
        """
        ...
