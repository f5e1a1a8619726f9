"""Planes on a device: taken, given back, used again."""

from __future__ import annotations

import gc
import threading

import numpy as np

from engines.device.planes import DeviceBlock, PlaneArena
from tests.engines.device.host_device import HostDevice

SIZE = (8, 16)


def test_planes_do_not_overlap_and_come_back_whole(device: HostDevice) -> None:
    arena = PlaneArena(device, SIZE)
    contents = [np.full(SIZE, place, np.float32) for place in range(150)]
    with device.working():
        planes = arena.take(len(contents))
        for plane, content in zip(planes, contents, strict=True):
            device.copy(plane.address, content.ctypes.data, plane.nbytes)
    assert arena.held == 150
    for plane, content in zip(planes, contents, strict=True):
        np.testing.assert_array_equal(plane.to_host(), content)


def test_a_plane_that_is_dropped_is_used_again(device: HostDevice) -> None:
    arena = PlaneArena(device, SIZE)
    with device.working():
        seen = {plane.address for plane in arena.take(64)}
        for _ in range(10):
            assert {plane.address for plane in arena.take(64)} == seen
    assert arena.held == 0


def test_a_block_holds_its_planes(device: HostDevice) -> None:
    arena = PlaneArena(device, SIZE)
    with device.working():
        block = DeviceBlock(arena.take(5))
    gc.collect()
    assert (len(block), arena.held) == (5, 5)
    assert block.nbytes == 5 * block[0].nbytes == 5 * 8 * 16 * 4
    kept = block[3]
    del block
    assert arena.held == 1
    assert kept.pixels == 8 * 16


def test_planes_are_dropped_on_any_thread(device: HostDevice) -> None:
    """No plane is anybody else's while somebody holds it."""
    arena = PlaneArena(device, SIZE)
    shared: list[list[int]] = []

    def work() -> None:
        for _ in range(200):
            with device.working():
                planes = arena.take(7)
            shared.append([plane.address for plane in planes])
            assert len({plane.address for plane in planes}) == 7
            del planes

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(shared) == 800
    assert arena.held == 0
