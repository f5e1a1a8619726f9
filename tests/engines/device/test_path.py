"""The way on the device against the way on the host, on a device in the host's memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from appliance.inference.coarse import COARSE, coarse_plane
from appliance.inference.planes import PlaneStore
from appliance.inference.shapes import slab_shapes
from appliance.inference.volume import SliceResult, segment_volume
from appliance.scan.scan import ScanPolicy
from engines.device.planes import DevicePlane, PlaneArena
from engines.device.preparer import DevicePreparer
from engines.models import load_repository
from engines.preprocess import Frame, Image
from engines.runtimes import DeviceError, DeviceLostError, RuntimeUnavailableError, choose
from engines.runtimes.tensorrt.driver import gpus
from engines.segmenter import Segmenter, SegmentRequest
from engines.stage import Stage
from tests.engines.device.host_device import HostDevice, HostDeviceRuntime
from tests.inference.test_volume import made_slices
from tests.tiny_models import write_block_repository, write_tiny_repository

WRITERS = {"2-D": write_tiny_repository, "3-D": write_block_repository}


@pytest.fixture(scope="module", params=WRITERS.values(), ids=WRITERS.keys())
def repository(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = request.param(tmp_path_factory.mktemp("repository"))
    return folder


def on_device(repository: Path, device: HostDevice, batch: int = 5) -> Segmenter:
    runtime = HostDeviceRuntime(choose("openvino"), device)
    return Segmenter(load_repository(repository), runtime, batch=batch)


def on_host(repository: Path, batch: int = 5) -> Segmenter:
    return Segmenter(load_repository(repository), choose("openvino"), batch=batch)


def results(segmenter: Segmenter, count: int = 40, spacing_mm: float = 1.25) -> list[SliceResult]:
    policy = ScanPolicy(slab_shapes(segmenter.lesion_models))
    return segment_volume(made_slices(count, spacing_mm), segmenter, policy)


def test_a_volume_has_the_same_masks_and_only_bits_come_back(
    repository: Path, device: HostDevice
) -> None:
    """Masks may differ where a probability is the threshold to five places: here nowhere.

    Beside the bits come the coarse planes for models of whole scans, a byte a pixel.
    """
    segmenter = on_device(repository, device)
    assert segmenter.memory is device
    device.fetched_bytes = 0
    found = results(segmenter)
    fetched = device.fetched_bytes
    expected = results(on_host(repository))
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours.lung, theirs.lung)
        np.testing.assert_array_equal(ours.lesion, theirs.lesion)
        assert ours.tally == theirs.tally
    assert any(one.lesion.any() for one in found)
    rows, columns = found[0].lung.shape
    assert 0 < fetched <= len(found) * (2 * rows * columns / 8 + COARSE**2)


def test_planes_that_were_dropped_are_free_again(repository: Path, device: HostDevice) -> None:
    segmenter = on_device(repository, device)
    image = Image(np.full((96, 80), -850, np.int16), Frame(96, 80))
    planes = segmenter.prepare([image] * 70)
    addresses = {plane.address for plane in planes if isinstance(plane, DevicePlane)}
    assert len(addresses) == 70
    del planes
    again = segmenter.prepare([image] * 70)
    assert {plane.address for plane in again if isinstance(plane, DevicePlane)} == addresses


def test_what_shares_a_batch_changes_nothing(repository: Path, device: HostDevice) -> None:
    rng = np.random.default_rng(3)
    segmenter = on_device(repository, device, batch=4)
    model = next(spec for spec in segmenter.lesion_models if spec.form == "neighbours").name
    images = []
    for rows, columns in ((96, 96), (70, 90), (131, 64), (64, 64), (100, 100), (41, 200)):
        hu = rng.integers(-1000, 200, (rows, columns)).astype(np.int16)
        images.append(Image(hu, Frame(rows, columns)))
    asked = [
        SegmentRequest(model, (plane, plane, plane), image.frame)
        for plane, image in zip(segmenter.prepare(images), images, strict=True)
    ]
    together = segmenter.segment(asked)
    assert any(masks.lesion.any() for masks in together)
    for request, masks in zip(asked, together, strict=True):
        (alone,) = segmenter.segment([request])
        np.testing.assert_array_equal(alone.lung, masks.lung)
        np.testing.assert_array_equal(alone.lesion, masks.lesion)
        assert masks.lung.shape == (request.frame.rows, request.frame.columns)


def test_where_there_is_no_lung_no_lesion_is_asked_for(
    repository: Path, device: HostDevice
) -> None:
    segmenter = on_device(repository, device)
    image = Image(np.full((96, 96), 60, np.int16), Frame(96, 96))
    (plane,) = segmenter.prepare([image])
    (masks,) = segmenter.segment([SegmentRequest("no such model", (plane,), image.frame)])
    assert not masks.lung.any()
    assert not masks.lesion.any()


def test_where_planes_lie_can_be_chosen(repository: Path, device: HostDevice) -> None:
    specs, runtime = load_repository(repository), HostDeviceRuntime(choose("openvino"), device)
    assert Segmenter(specs, runtime, preprocess_device="cpu").memory is None
    assert Segmenter(specs, runtime, preprocess_device="gpu").memory is device
    assert Segmenter(specs, choose("openvino")).memory is None
    with pytest.raises(RuntimeUnavailableError, match="openvino does not take planes on a GPU"):
        Segmenter(specs, choose("openvino"), preprocess_device="gpu")


def test_a_device_that_finds_other_masks_is_not_used(
    repository: Path, device: HostDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch = device.launch

    def restoring_nothing(kernel, tables, width, count) -> None:  # type: ignore[no-untyped-def]
        if kernel == "restore":
            tables[0]["threshold"] = 2
        launch(kernel, tables, width, count)

    monkeypatch.setattr(device, "launch", restoring_nothing)
    with pytest.raises(DeviceError, match=r"host: \d+ of \d+ pixels of a lung mask differ"):
        on_device(repository, device)


@pytest.mark.skipif(bool(gpus()), reason="there is a GPU here")
def test_dali_without_its_gpu_is_a_fault_of_the_device(device: HostDevice) -> None:
    device.ordinal = 0
    with pytest.raises(DeviceError, match=r"DALI on host: .*CUDA"):
        DevicePreparer(PlaneArena(device, (64, 64)), (-1350.0, 250.0), batch=4)


@pytest.mark.parametrize("kind", [RuntimeError, MemoryError])
def test_dali_without_memory_on_its_gpu_loses_the_device(
    kind: type[Exception], device: HostDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_memory(*given: object, **inputs: object) -> None:
        raise kind("Can't allocate 1073741824 bytes on device 0.")

    preparer = DevicePreparer(PlaneArena(device, (64, 64)), (-1350.0, 250.0), batch=4)
    monkeypatch.setattr(Stage, "output", without_memory)
    with pytest.raises(DeviceLostError, match=r"DALI on host: .* \(CUDA_ERROR_OUT_OF_MEMORY\)"):
        preparer.prepare([Image(np.zeros((64, 64), np.int16), Frame(64, 64))])


def test_an_image_that_cannot_be_prepared_is_no_fault_of_the_device(device: HostDevice) -> None:
    preparer = DevicePreparer(PlaneArena(device, (64, 64)), (-1350.0, 250.0), batch=4)
    flat = Image(np.zeros((64, 64, 1), np.int16), Frame(64, 64))
    with pytest.raises((RuntimeError, ValueError, TypeError)):
        preparer.prepare([flat])
    (plane,) = preparer.prepare([Image(np.full((64, 64), 250, np.int16), Frame(64, 64))])
    np.testing.assert_allclose(plane.to_host(), 1)


def test_who_takes_over_prepares_again(repository: Path, device: HostDevice) -> None:
    """Planes of a device that is lost are not lost: they are made again of HU."""
    slices = {item.header.sop_instance_uid: item for item in made_slices(6, 5.0)}
    store = PlaneStore(lambda scan_id, uid: slices[uid])
    keys = [("scan", uid) for uid in slices]
    for item in slices.values():
        store.add("scan", item)
    first, second = on_device(repository, device), on_host(repository)
    made = store.prepared(keys, first.prepare, first.memory)
    assert store.device_bytes_used == sum(plane.nbytes for plane in made.values())
    held = store.bytes_used
    again = store.prepared(keys, second.prepare, second.memory)
    assert store.bytes_used == held + sum(plane.nbytes for plane in again.values())
    for key, plane in again.items():
        assert isinstance(plane, np.ndarray)
        on_the_device = made[key]
        assert isinstance(on_the_device, DevicePlane)
        np.testing.assert_array_equal(on_the_device.to_host(), plane)
    store.hold_coarse(made)
    for key, coarse in zip(keys, store.coarse(keys, second.prepare), strict=True):
        np.testing.assert_array_equal(coarse, coarse_plane(np.asarray(again[key])))
    store.forget("scan")
    assert store.bytes_used == store.device_bytes_used == 0


def test_coarse_planes_are_made_again_on_the_device(repository: Path, device: HostDevice) -> None:
    slices = {item.header.sop_instance_uid: item for item in made_slices(3, 5.0)}
    store = PlaneStore(lambda scan_id, uid: slices[uid])
    keys = [("scan", uid) for uid in slices]
    for item in slices.values():
        store.add("scan", item)
    planes = store.prepared(keys, on_host(repository).prepare)
    coarse = store.coarse(keys, on_device(repository, device).prepare)
    for key, found in zip(keys, coarse, strict=True):
        np.testing.assert_array_equal(found, coarse_plane(np.asarray(planes[key])))
    assert store.device_bytes_used == 0
