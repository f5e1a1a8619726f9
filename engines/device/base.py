"""What a device must be able to do so that slabs can stay on it.

The kernels are in kernels.cu, their arithmetic in kernels.h, and what the driver is given
in kernels.ptx (:mod:`engines.device.compile`).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal, Protocol, SupportsInt

import numpy as np
import numpy.typing as npt

PTX = Path(__file__).with_name("kernels.ptx")

Kernel = Literal["combine", "coarsen", "restore"]


class ComputeDevice(Protocol):
    """Memory of one device and the order in which things happen there.

    All but `name` and the numbers is used inside `working` only, and raises DeviceError
    when the device fails.

    Parameters
    ----------
    name
        Short: "gpu0".
    ordinal
        Its number, for DALI; None for the host's own memory.
    stream
        Handle of the order of work, for DALI; None for the host.
    """

    def __hash__(self) -> int: ...

    @property
    def name(self) -> str: ...

    @property
    def ordinal(self) -> int | None: ...

    @property
    def stream(self) -> int | None: ...

    def working(self) -> AbstractContextManager[None]:
        """For as long as it lasts, the device is this thread's alone. May be nested."""
        ...

    def allocate(self, size: int) -> SupportsInt:
        """Memory of so many bytes; its address is its integer. It lasts as long as the object."""
        ...

    def copy(self, target: int, source: int, size: int) -> None:
        """Copy bytes from one address of the device to another."""
        ...

    def hold(self, owner: object) -> None:
        """Keep the owner of memory until all that was asked for so far has happened."""
        ...

    def launch(
        self, kernel: Kernel, tables: Sequence[npt.NDArray[Any]], width: int, count: int
    ) -> None:
        """Run a kernel on `width` pixels of each of `count` items, given tables about them."""
        ...

    def fetch(self, address: int, size: int) -> npt.NDArray[np.uint8]:
        """Bytes as they are when all that was asked for before has happened."""
        ...
