"""The kernels: masks as bits, slabs and coarse planes made on the GPU."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from appliance.inference.coarse import COARSE, coarse_plane
from calibration.phantom import Section
from engines.device.base import ComputeDevice
from engines.device.coarse import coarse_planes
from engines.device.masks import BitLayout, Restoring, restore
from engines.device.planes import DevicePlane, PlaneArena
from engines.device.slabs import assemble, blend
from engines.models import load_repository
from engines.preprocess import Frame, Image, Plane, Preparer, Restorer
from engines.runtimes.tensorrt.cuda import cuda_device
from tests.gpu.check.parts import Choice, Found, Row
from tests.gpu.check.phantoms import phantom
from tests.gpu.check.timing import seconds

_COUNT = 16
_THRESHOLD = 0.5
#: Bytes whose fetching waits for what was asked before.
_WAIT = 4
#: Pixels whose probability is the threshold within float32's rounding may differ.
_MASK_TOLERANCE = 1e-4


class SendingDevice(ComputeDevice, Protocol):
    """A device that can be given an array, too."""

    def send(self, address: int, array: npt.NDArray[Any]) -> None: ...


def check_kernels(choice: Choice) -> Found:
    """Each kernel against the CPU."""
    return compare_kernels(cuda_device(0), choice)


def compare_kernels(device: SendingDevice, choice: Choice) -> Found:
    """The same on any device."""
    spec = next(spec for spec in load_repository(choice.models) if spec.role == "lung")
    made = phantom(Section.THICK, choice.slices or _COUNT, choice.matrix)
    frame = Frame(*made.hu.shape[1:])
    images = [Image(np.ascontiguousarray(plane), frame) for plane in made.hu]
    planes = [1 - plane for plane in Preparer(spec.window_hu, spec.size).prepare(images)]
    arena = PlaneArena(device, spec.size)
    with device.working():
        held = [_put(device, arena, plane) for plane in planes]
        rows = [
            _masks(device, held, planes, [frame] * len(planes), choice.enough_s),
            _slab(device, held, planes, choice.enough_s),
            _blended(device, arena, held, planes, choice.enough_s),
            _coarse(held, planes, choice.enough_s),
        ]
    return Found(rows, [f"Microseconds are those of {len(planes)} slices, the wait included."])


def _put(device: SendingDevice, arena: PlaneArena, plane: Plane) -> DevicePlane:
    (held,) = arena.take(1)
    device.send(held.address, np.ascontiguousarray(plane))
    return held


def _masks(
    device: SendingDevice,
    held: list[DevicePlane],
    planes: list[Plane],
    frames: list[Frame],
    enough_s: float,
) -> Row:
    layout = BitLayout.of(frames)
    memory = device.allocate(layout.size)
    items = [
        Restoring(plane.address, frame, int(memory) + start)
        for plane, frame, start in zip(held, frames, layout.starts, strict=True)
    ]

    def masks() -> npt.NDArray[np.uint8]:
        restore(device, items, planes[0].shape, _THRESHOLD)
        return device.fetch(int(memory), layout.size)

    bits = masks()
    expected = Restorer(_THRESHOLD).restore(planes, frames)
    ours = [layout.mask(bits, place) for place in range(len(frames))]
    differing = sum(np.count_nonzero(a != b) for a, b in zip(ours, expected, strict=True))
    share = differing / sum(mask.size for mask in expected)
    return {
        "kernel": "restore",
        "difference": f"{share:.3g} of the pixels",
        "us": 1e6 * seconds(masks, enough_s),
        "MB back": layout.size / 1e6,
        "ok": share <= _MASK_TOLERANCE,
    }


def _slab(
    device: SendingDevice, held: list[DevicePlane], planes: list[Plane], enough_s: float
) -> Row:
    """The second plane of each slab is the mean of two slices; the last planes are none."""
    count = len(planes)
    slabs = [[[held[i]], [held[i], held[i + 1]]] for i in range(count - 1)]
    wanted = np.zeros((2 * count, *planes[0].shape), np.float32)
    for i in range(count - 1):
        wanted[2 * i] = planes[i]
        wanted[2 * i + 1] = (planes[i] + planes[i + 1]) / np.float32(2)
    target = device.allocate(wanted.nbytes)

    def put_together() -> None:
        assemble(device, slabs, int(target), 2 * count, planes[0].size)
        device.fetch(int(target), _WAIT)

    taken = seconds(put_together, enough_s)
    found = device.fetch(int(target), wanted.nbytes).view(np.float32).reshape(wanted.shape)
    return _exact("combine: slabs", found, wanted, taken)


def _blended(
    device: SendingDevice,
    arena: PlaneArena,
    held: list[DevicePlane],
    planes: list[Plane],
    enough_s: float,
) -> Row:
    (target,) = arena.take(1)
    weights = [0.25, 0.75]

    def mix() -> None:
        blend(device, weights, held[:2], target.address)
        device.fetch(target.address, _WAIT)

    taken = seconds(mix, enough_s)
    wanted = planes[0] * np.float32(0.25) + planes[1] * np.float32(0.75)
    return _exact("combine: blend", target.to_host(), wanted, taken)


def _coarse(held: list[DevicePlane], planes: list[Plane], enough_s: float) -> Row:
    taken = seconds(lambda: coarse_planes(held, COARSE), enough_s)
    found, wanted = np.stack(coarse_planes(held, COARSE)), np.stack(list(map(coarse_plane, planes)))
    return _exact("coarsen", found.astype(np.float32), wanted.astype(np.float32), taken)


def _exact(name: str, found: Plane, wanted: Plane, taken: float) -> Row:
    same = np.array_equal(found, wanted)
    difference = "none" if same else f"{np.abs(found - wanted).max():.3g}"
    return {"kernel": name, "difference": difference, "us": 1e6 * taken, "ok": same}
