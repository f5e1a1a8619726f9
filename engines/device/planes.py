"""Planes in the memory of a device.

Everything on a device happens in one order (on a GPU: one stream). So a plane may be
given back while work on it is still waiting: whoever gets it next writes behind that work.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import SupportsInt

import numpy as np
import numpy.typing as npt

from engines.device.base import ComputeDevice

_PLANES_A_PIECE = 64


class DevicePlane:
    """A float32 plane in the memory of a device, its holder's until it is dropped.

    Parameters
    ----------
    arena
        Where it goes back to.
    address
        Of its first pixel.
    """

    __slots__ = ("address", "arena")

    def __init__(self, arena: PlaneArena, address: int) -> None:
        self.arena, self.address = arena, address

    @property
    def nbytes(self) -> int:
        return self.arena.plane_bytes

    @property
    def pixels(self) -> int:
        return self.arena.size[0] * self.arena.size[1]

    def to_host(self) -> npt.NDArray[np.float32]:
        """A copy on the host, shape (rows, columns)."""
        device = self.arena.device
        with device.working():
            fetched = device.fetch(self.address, self.nbytes)
        return fetched.view(np.float32).reshape(self.arena.size)

    def __del__(self) -> None:
        self.arena.take_back(self.address)


class DeviceBlock:
    """The planes of one answer of a block model, foot to head."""

    def __init__(self, planes: Sequence[DevicePlane]) -> None:
        self._planes = tuple(planes)

    @property
    def nbytes(self) -> int:
        return sum(plane.nbytes for plane in self._planes)

    def __len__(self) -> int:
        return len(self._planes)

    def __getitem__(self, place: int) -> DevicePlane:
        return self._planes[place]


class Scratch:
    """Memory whose content lasts until it is asked for again; grows with what is asked for."""

    def __init__(self, device: ComputeDevice) -> None:
        self._device = device
        self._memory: SupportsInt | None = None
        self._size = 0

    def address(self, size: int) -> int:
        """Of so many bytes."""
        if self._memory is None or self._size < size:
            self._memory, self._size = self._device.allocate(size), size
        return int(self._memory)


class PlaneArena:
    """Planes of one size on one device. It grows by pieces and never shrinks.

    Whoever holds planes bounds it, as the daemon's plane cache does. Planes may be dropped
    on any thread, at any time.

    Parameters
    ----------
    device
        Where.
    size
        Rows and columns of a plane.
    """

    def __init__(self, device: ComputeDevice, size: tuple[int, int]) -> None:
        self.device, self.size = device, size
        self.plane_bytes = size[0] * size[1] * np.dtype(np.float32).itemsize
        self.scratch = Scratch(device)
        self._pieces: list[SupportsInt] = []
        self._free: deque[int] = deque()  # its methods are atomic: no lock in a destructor

    @property
    def held(self) -> int:
        """Planes that somebody holds."""
        return len(self._pieces) * _PLANES_A_PIECE - len(self._free)

    def take(self, count: int) -> list[DevicePlane]:
        """Some planes of any content.

        Raises
        ------
        DeviceError
            When the device has no memory left.
        """
        return [self._take() for _ in range(count)]

    def take_back(self, address: int) -> None:
        self._free.append(address)

    def _take(self) -> DevicePlane:
        while True:
            try:
                return DevicePlane(self, self._free.pop())
            except IndexError:
                self._grow()

    def _grow(self) -> None:
        piece = self.device.allocate(_PLANES_A_PIECE * self.plane_bytes)
        self._pieces.append(piece)
        first = int(piece)
        self._free.extend(first + place * self.plane_bytes for place in range(_PLANES_A_PIECE))
