from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from appliance.inference.pixel_cache import PixelCache
from appliance.inference.planes import ForgottenSliceError, PlaneStore, frame_of
from appliance.scan.slice import Slice
from engines.preprocess import Image, Plane
from tests.scan.strategies import header

MIRRORED = (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


class Rooms:
    """A plane store whose neighbours write down what they were asked."""

    def __init__(self, **budgets: int) -> None:
        self.prepared_batches: list[list[Image]] = []
        self.reloaded: list[str] = []
        self.slices: dict[str, Slice] = {}
        self.store = PlaneStore(self.reload, **budgets)

    def prepare(self, images: Sequence[Image]) -> list[Plane]:
        self.prepared_batches.append(list(images))
        return [image.hu.astype(np.float32) for image in images]

    def reload(self, scan_id: str, uid: str) -> Slice:
        self.reloaded.append(uid)
        return self.slices[uid]

    def add(self, position: float, **changes: object) -> tuple[str, str]:
        hu = np.arange(512 * 512, dtype=np.int32).reshape(512, 512) + round(position)
        arrived = Slice(header(position, **changes), (hu % 4000).astype(np.int16))  # type: ignore[arg-type]
        uid = arrived.header.sop_instance_uid
        self.slices[uid] = arrived
        self.store.add("scan", arrived)
        return "scan", uid


def test_what_does_not_fit_is_read_again_and_is_the_same() -> None:
    rooms = Rooms(hu_bytes=3 * 512 * 512 * 2)
    keys = [rooms.add(float(index)) for index in range(6)]
    assert rooms.store.bytes_used <= 3 * 512 * 512 * 2
    for key in keys:
        assert np.array_equal(rooms.store.hu(key), rooms.slices[key[1]].hu)
    assert keys[0][1] in rooms.reloaded


def test_a_prepared_plane_that_does_not_fit_is_made_again() -> None:
    most = 3 * 512 * 512 * 4
    rooms = Rooms(prepared_bytes=most, hu_bytes=512 * 512 * 2)
    keys = [rooms.add(float(index)) for index in range(6)]
    for key in (*keys, keys[0]):
        (plane,) = rooms.store.prepared([key], rooms.prepare).values()
        assert np.array_equal(plane, rooms.slices[key[1]].hu)
        assert rooms.store.bytes_used <= most + 512 * 512 * 2
    assert len(rooms.prepared_batches) == 7


def test_a_plane_is_prepared_once() -> None:
    rooms = Rooms()
    keys = [rooms.add(float(index)) for index in range(3)]
    rooms.store.prepared(keys[:2], rooms.prepare)
    planes = rooms.store.prepared(keys, rooms.prepare)
    assert [len(batch) for batch in rooms.prepared_batches] == [2, 1]
    assert planes.keys() == set(keys)


def test_planes_are_prepared_in_the_standard_view() -> None:
    rooms = Rooms()
    key = rooms.add(0.0, orientation=MIRRORED)
    plane = rooms.store.prepared([key], rooms.prepare)[key]
    assert np.array_equal(plane, rooms.slices[key[1]].hu[:, ::-1])


def test_a_forgotten_scan_takes_no_memory() -> None:
    rooms = Rooms()
    keys = [rooms.add(float(index)) for index in range(3)]
    rooms.store.prepared(keys, rooms.prepare)
    rooms.store.forget("scan")
    assert rooms.store.bytes_used == 0
    with pytest.raises(ForgottenSliceError):
        rooms.store.prepared(keys, rooms.prepare)
    with pytest.raises(ForgottenSliceError):
        rooms.store.hu(keys[0])


def test_a_plane_of_a_scan_that_went_and_came_back_meanwhile_is_not_held() -> None:
    rooms = Rooms()
    key = rooms.add(0.0)

    def slowly(images: Sequence[Image]) -> list[Plane]:
        rooms.store.forget("scan")
        rooms.add(0.0)
        return [np.zeros_like(image.hu, np.float32) for image in images]

    assert not rooms.store.prepared([key], slowly)[key].any()
    assert rooms.store.prepared([key], rooms.prepare)[key].any()


def test_the_least_recently_used_goes_first() -> None:
    cache = PixelCache(budget_bytes=200)
    for name in "ab":
        cache.put(("scan", name), np.zeros(100, np.uint8))
    cache.get(("scan", "a"))
    cache.put(("scan", "c"), np.zeros(100, np.uint8))
    assert cache.get(("scan", "b")) is None
    assert cache.get(("scan", "a")) is not None


@pytest.mark.parametrize(
    ("orientation", "size"),
    [
        ((1.0, 0, 0, 0, 1.0, 0), (512, 512, 0.6, 0.9)),
        ((0, 1.0, 0, 1.0, 0, 0), (512, 512, 0.9, 0.6)),
    ],
)
def test_the_frame_is_that_of_the_turned_image(
    orientation: tuple[float, ...], size: tuple[float, ...]
) -> None:
    geometry = header(0.0, orientation=orientation, spacing=(0.6, 0.9)).geometry
    frame = frame_of(geometry)
    assert (frame.rows, frame.columns, frame.row_mm, frame.column_mm) == size
