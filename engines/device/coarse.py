"""Planes made coarse on the device, for models of whole scans, which work on the host."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from engines.device.planes import DevicePlane

#: struct Coarsening
_COARSENING = np.dtype(
    [("plane", "u8"), ("target", "u8"), ("rows", "i4"), ("columns", "i4"), ("size", "i4")],
    align=True,
)


def coarse_planes(planes: Sequence[DevicePlane], size: int) -> list[npt.NDArray[np.uint8]]:
    """Planes of one device with fewer pixels and in 255 steps, on the host.

    The mean of as many pixels as fall onto one where their number is whole, else the
    nearest of them; one byte a pixel comes back.

    Parameters
    ----------
    planes
        In [0, 1].
    size
        Rows and columns of a coarse plane.
    """
    if not planes:
        return []
    arena, pixels = planes[0].arena, size * size
    with arena.device.working():
        target = arena.scratch.address(len(planes) * pixels)
        rows = [
            (plane.address, target + place * pixels, *arena.size, size)
            for place, plane in enumerate(planes)
        ]
        arena.device.launch("coarsen", (np.array(rows, _COARSENING),), pixels, len(rows))
        found = arena.device.fetch(target, len(planes) * pixels)
    return list(found.reshape(len(planes), size, size))
