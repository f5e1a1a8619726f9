"""What a runtime must be able to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt

from engines.models import Artefact, ModelSpec


class RuntimeUnavailableError(Exception):
    """The runtime cannot run on this machine; the message says what is missing."""


class DeviceError(Exception):
    """The device failed while it ran; the message names the call that failed."""


class DeviceLostError(DeviceError):
    """The device can do no more in this process: an XID, no memory left, a sticky CUDA error."""


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


class Runtime(Protocol):
    """A back end on one device.

    Parameters
    ----------
    name
        As the configuration calls it.
    precisions
        What it can execute, the preferred one first.
    dialects
        The dialects of Q/DQ it executes exactly, the preferred one first.
    by_name_only
        Never chosen unless named.
    """

    name: str
    precisions: tuple[str, ...]
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
        DeviceError
            When the device fails.
        """
        ...


class InstalledRuntime(Runtime, Protocol):
    """A runtime as the registry knows it: on its first device, unless told another."""

    def by_device(self) -> Mapping[str, Runtime]:
        """Itself on each device that it can use here, by the device's short name ("cpu", "gpu0").

        Devices of which `device` says the same in words give the same results, bit for bit.

        Raises
        ------
        RuntimeUnavailableError
            When the runtime cannot run here.
        """
        ...
