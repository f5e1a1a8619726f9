"""The arithmetic of the kernels, compiled for the host, against DALI and numpy; and their PTX."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from appliance.inference.coarse import COARSE, coarse_plane
from engines.device.base import PTX
from engines.device.coarse import coarse_planes
from engines.device.compile import compiled, heading
from engines.device.masks import BitLayout, Restoring, restore
from engines.device.planes import DevicePlane, PlaneArena
from engines.device.slabs import assemble, blend
from engines.preprocess import Frame, Mask, Restorer
from tests.engines.device.host_device import HostDevice

SIZE = (64, 64)
#: A pixel may differ from DALI's only where the probability is so close to the threshold.
CLOSE = 1e-5

FRAMES = {
    "twice as fine": Frame(128, 128),
    "as fine": Frame(64, 64),
    "odd": Frame(97, 131),
    "wide pixels": Frame(100, 60, 0.7, 1.4),
    "transposed": Frame(60, 100, 1.4, 0.7),
    "coarser": Frame(40, 50),
    "much coarser": Frame(9, 5),
    "one row": Frame(1, 300),
    "finer down, coarser across": Frame(200, 40, 0.2, 1.0),
}


def uploaded(arena: PlaneArena, planes: list[npt.NDArray[np.float32]]) -> list[DevicePlane]:
    with arena.device.working():
        taken = arena.take(len(planes))
        for place, plane in zip(taken, planes, strict=True):
            arena.device.copy(place.address, plane.ctypes.data, plane.nbytes)
    return taken


def restored(
    device: HostDevice,
    planes: list[npt.NDArray[np.float32]],
    frames: list[Frame],
    threshold: float = 0.5,
) -> list[Mask]:
    layout = BitLayout.of(frames)
    taken = uploaded(PlaneArena(device, SIZE), planes)
    with device.working():
        bits = int(memory := device.allocate(layout.size))
        items = [
            Restoring(plane.address, frame, bits + start)
            for plane, frame, start in zip(taken, frames, layout.starts, strict=True)
        ]
        restore(device, items, SIZE, threshold)
        found = device.fetch(bits, layout.size)
    del memory
    return [layout.mask(found, place) for place in range(len(frames))]


def smooth(rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """A probability as networks give it: few values, and edges that are not sharp."""
    field = rng.random((8, 8)).repeat(8, 0).repeat(8, 1)
    for axis in (0, 1):
        field = (np.roll(field, 1, axis) + field + np.roll(field, -1, axis)) / 3
    return field.astype(np.float32)


def noise(rng: np.random.Generator) -> npt.NDArray[np.float32]:
    return rng.random(SIZE, dtype=np.float32)


@pytest.mark.parametrize("make", [smooth, noise])
@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES.keys())
def test_masks_are_those_of_dali(device: HostDevice, frame: Frame, make) -> None:  # type: ignore[no-untyped-def]
    """Equal, but for pixels whose probability is the threshold to five places."""
    rng = np.random.default_rng(5)
    planes = [make(rng) for _ in range(20)]
    frames = [frame] * len(planes)
    lower, expected, upper = (
        Restorer(0.5 + step).restore(planes, frames) for step in (-CLOSE, 0, CLOSE)
    )
    found = restored(device, planes, frames)
    assert sum(map(np.count_nonzero, found))
    for low, mask, high in zip(lower, found, upper, strict=True):
        assert not (high & ~mask).any()
        assert not (mask & ~low).any()
    differing = sum(
        np.count_nonzero(mask != wanted) for mask, wanted in zip(found, expected, strict=True)
    )
    assert differing <= 1e-4 * sum(mask.size for mask in found)


def test_masks_of_several_grids_are_made_at_once(device: HostDevice) -> None:
    rng = np.random.default_rng(6)
    frames = list(FRAMES.values())
    planes = [smooth(rng) for _ in frames]
    together = restored(device, planes, frames)
    for plane, frame, mask in zip(planes, frames, together, strict=True):
        assert mask.shape == (frame.rows, frame.columns)
        (alone,) = restored(device, [plane], [frame])
        np.testing.assert_array_equal(alone, mask)


def test_a_mask_lies_inside_the_one_that_it_is_within(device: HostDevice) -> None:
    rng = np.random.default_rng(7)
    frame = Frame(97, 131)
    first, second = smooth(rng), smooth(rng)
    layout = BitLayout.of([frame, frame])
    taken = uploaded(PlaneArena(device, SIZE), [first, second])
    with device.working():
        bits = int(memory := device.allocate(layout.size))
        outer, inner = (bits + start for start in layout.starts)
        restore(device, [Restoring(taken[0].address, frame, outer)], SIZE, 0.5)
        restore(device, [Restoring(taken[1].address, frame, inner, outer)], SIZE, 0.5)
        found = device.fetch(bits, layout.size)
    del memory
    masks = restored(device, [first, second], [frame, frame])
    np.testing.assert_array_equal(layout.mask(found, 0), masks[0])
    np.testing.assert_array_equal(layout.mask(found, 1), masks[0] & masks[1])
    assert layout.any(found, 1)
    assert not layout.any(np.zeros_like(found), 1)


def test_slabs_are_the_planes_and_the_means_of_slices(device: HostDevice) -> None:
    rng = np.random.default_rng(8)
    planes = [noise(rng) for _ in range(7)]
    taken = uploaded(PlaneArena(device, SIZE), planes)
    slabs = [[[0], [1], [2]], [[3, 4], [2, 5, 6], [0]]]
    target = np.full((4, 3, *SIZE), np.nan, np.float32)
    with device.working():
        given = [[[taken[i] for i in group] for group in slab] for slab in slabs]
        assemble(device, given, target.ctypes.data, 12, SIZE[0] * SIZE[1])
    for slab, found in zip(slabs, target, strict=False):
        for group, plane in zip(slab, found, strict=True):
            np.testing.assert_array_equal(plane, np.mean([planes[i] for i in group], 0))
    assert not target[2:].any()


def test_a_blend_is_the_weighted_sum_bit_for_bit(device: HostDevice) -> None:
    rng = np.random.default_rng(9)
    planes, weights = [noise(rng) for _ in range(3)], [0.1, 0.65, 0.25]
    taken = uploaded(PlaneArena(device, SIZE), planes)
    target = np.empty(SIZE, np.float32)
    with device.working():
        blend(device, weights, taken, target.ctypes.data)
    expected = np.zeros(SIZE, np.float32)
    for weight, plane in zip(weights, planes, strict=True):
        expected += np.float32(weight) * plane
    np.testing.assert_array_equal(target, expected)


@pytest.mark.parametrize("size", [(256, 256), (128, 128), (384, 256), (64, 64), (100, 192)])
def test_coarse_planes_are_those_of_the_host(device: HostDevice, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(10)
    planes = [rng.random(size, dtype=np.float32) for _ in range(3)]
    taken = uploaded(PlaneArena(device, size), planes)
    for plane, found in zip(planes, coarse_planes(taken, COARSE), strict=True):
        np.testing.assert_array_equal(found, coarse_plane(plane))
    assert coarse_planes([], COARSE) == []


# -- PTX


def test_the_ptx_is_of_the_sources_as_they_are() -> None:
    text = PTX.read_text(encoding="utf-8")
    assert text.startswith(heading()), "run python -m engines.device.compile"
    assert set(re.findall(r"\.visible \.entry (\w+)", text)) == {"combine", "coarsen", "restore"}


def test_the_ptx_is_what_the_compiler_makes() -> None:
    if shutil.which("nvcc") is None:
        pytest.skip("nvcc is not here")
    made = compiled()
    kept = PTX.read_text(encoding="utf-8")
    version = re.compile(r"// Cuda compilation tools.*")
    if version.findall(made) != version.findall(kept):
        pytest.skip(f"the nvcc here is another: {version.findall(made)}")
    assert made == kept


@pytest.mark.parametrize("target", ["sm_75", "sm_80", "sm_89", "sm_90", "sm_100", "sm_120"])
def test_every_gpu_can_have_code_of_the_ptx(target: str, tmp_path: Path) -> None:
    ptxas = shutil.which("ptxas") or shutil.which("ptxas", path="/usr/local/cuda/bin")
    if ptxas is None:
        pytest.skip("ptxas is not here")
    subprocess.run([ptxas, f"-arch={target}", PTX, "-o", tmp_path / "code"], check=True)
    assert (tmp_path / "code").stat().st_size
