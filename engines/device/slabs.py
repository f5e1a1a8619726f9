"""Slabs put together on the device, out of planes that lie there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engines.device.base import ComputeDevice
from engines.device.planes import DevicePlane

_FLOAT_BYTES = 4
#: struct Source
_SOURCE = np.dtype([("plane", "u8"), ("weight", "f4")], align=True)
#: struct Sum
_SUM = np.dtype([("target", "u8"), ("first", "u4"), ("count", "u4"), ("divisor", "f4")], align=True)

#: The slices of one plane of a slab, of which it is the mean; mostly one.
Slices = Sequence[DevicePlane]
#: The planes of a slab.
DeviceSlab = Sequence[Slices]


def assemble(
    device: ComputeDevice, slabs: Sequence[DeviceSlab], target: int, planes: int, pixels: int
) -> None:
    """Put planes together to the input of a network.

    Parameters
    ----------
    device
        Where the planes lie.
    slabs
        Each plane is the mean of its slices, summed in their order.
    target
        Address of the input: float32, contiguous.
    planes
        That the input has; those beyond the slabs become zero.
    pixels
        Of a plane.
    """
    given: list[Slices] = [slices for slab in slabs for slices in slab]
    groups = given + [()] * (planes - len(given))
    sources = [(plane.address, 1.0) for slices in groups for plane in slices]
    sums = np.zeros(len(groups), _SUM)
    sums["target"] = target + np.arange(len(groups), dtype=np.uint64) * pixels * _FLOAT_BYTES
    sums["count"] = [len(slices) for slices in groups]
    sums["first"] = np.cumsum(sums["count"]) - sums["count"]
    sums["divisor"] = sums["count"]
    device.launch("combine", (sums, np.array(sources, _SOURCE)), pixels, len(sums))


def blend(
    device: ComputeDevice, weights: Sequence[float], planes: Sequence[DevicePlane], target: int
) -> None:
    """The weighted sum of some planes, in their order, at an address."""
    sources = [
        (plane.address, np.float32(weight)) for plane, weight in zip(planes, weights, strict=True)
    ]
    sums = np.array([(target, 0, len(sources), 1.0)], _SUM)
    device.launch("combine", (sums, np.array(sources, _SOURCE)), planes[0].pixels, 1)
