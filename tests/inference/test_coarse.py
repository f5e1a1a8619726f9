from __future__ import annotations

import numpy as np
import pytest

from appliance.inference.coarse import COARSE, coarse_plane
from appliance.inference.planes import ForgottenSliceError, PlaneStore
from appliance.scan.slice import Slice
from engines.preprocess import Image, Plane
from tests.inference.test_volume import made_slices

SCAN = "scan"
UID = made_slices(1, 5.0)[0].header.sop_instance_uid


def ramp(size: int) -> Plane:
    return np.linspace(0, 1, size * size, dtype=np.float32).reshape(size, size)


def test_a_plane_twice_as_fine_is_averaged() -> None:
    plane = ramp(2 * COARSE)
    means = plane.reshape(COARSE, 2, COARSE, 2).mean(axis=(1, 3))
    assert np.abs(coarse_plane(plane) / 255 - means).max() <= 0.5 / 255 + 1e-6


def test_a_coarser_plane_is_repeated() -> None:
    plane = ramp(COARSE // 2)
    expected = np.rint(np.repeat(np.repeat(plane, 2, 0), 2, 1) * 255)
    np.testing.assert_array_equal(coarse_plane(plane), expected)


@pytest.mark.parametrize("size", [1, 100, 192, 300])
def test_any_size_makes_a_coarse_plane(size: int) -> None:
    coarse = coarse_plane(ramp(size))
    assert coarse.shape == (COARSE, COARSE)
    assert coarse.dtype == np.uint8
    assert (np.diff(coarse.astype(int), axis=0) >= 0).all()


class Rooms:
    """One slice in a plane store, and how often it was prepared."""

    def __init__(self) -> None:
        (self.slice,) = made_slices(1, 5.0)
        self.store = PlaneStore(self.reload)
        self.store.add(SCAN, self.slice)
        self.prepared = 0

    def reload(self, scan_id: str, uid: str) -> Slice:
        return self.slice

    def prepare(self, images: list[Image]) -> list[Plane]:
        self.prepared += len(images)
        return [ramp(256) for _ in images]


def test_a_coarse_plane_is_held_or_made_again_and_is_the_same() -> None:
    rooms = Rooms()
    (made,) = rooms.store.coarse([(SCAN, UID)], rooms.prepare)  # type: ignore[arg-type]
    other = Rooms()
    other.store.hold_coarse({(SCAN, UID): ramp(256)})
    (held,) = other.store.coarse([(SCAN, UID)], other.prepare)  # type: ignore[arg-type]
    np.testing.assert_array_equal(made, held)
    assert (rooms.prepared, other.prepared) == (1, 0)


def test_the_coarse_planes_of_a_forgotten_scan_take_no_memory() -> None:
    rooms = Rooms()
    rooms.store.hold_coarse({(SCAN, UID): ramp(256)})
    rooms.store.forget(SCAN)
    rooms.store.hold_coarse({(SCAN, UID): ramp(256)})
    assert rooms.store.bytes_used == 0
    with pytest.raises(ForgottenSliceError):
        rooms.store.coarse([(SCAN, UID)], rooms.prepare)  # type: ignore[arg-type]
