"""Planes that stay on a GPU from DALI to the mask: the masks are those of the CPU.

DALI sums in another order on a GPU, so planes differ by rounding, and masks where a
probability is the threshold within that. All but the last test run without TensorRT: the
network is then OpenVINO's, given what the GPU's kernels put together.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from appliance.inference.shapes import slab_shapes
from appliance.inference.volume import SliceResult, segment_volume
from appliance.scan.scan import ScanPolicy
from engines.device.coarse import coarse_planes
from engines.device.planes import DevicePlane, PlaneArena
from engines.device.preparer import DevicePreparer
from engines.device.slabs import DeviceSlab, assemble
from engines.folder import ENVIRONMENT
from engines.models import Artefact, ModelSpec, load_repository
from engines.preprocess import Frame, Image, Preparer
from engines.runtimes import RUNTIMES, DeviceError, DeviceLostError, Executable, Runtime
from engines.runtimes.tensorrt.cuda import CudaDevice, cuda_device
from engines.runtimes.tensorrt.driver import Gpu
from engines.segmenter import Segmenter
from tests.inference.test_volume import made_slices
from tests.tiny_models import write_block_repository, write_tiny_repository

WINDOW, SIZE = (-1350.0, 250.0), (256, 256)
#: Of a prepared plane: half a HU.
PLANE_TOLERANCE = 0.5 / 1600
#: Share of a scan's pixels.
MASK_TOLERANCE = 1e-4
_FLOAT_BYTES = 4


@pytest.fixture(scope="module")
def device(gpu: Gpu) -> CudaDevice:
    pytest.importorskip("pycuda.driver", exc_type=ImportError)
    return cuda_device(gpu.ordinal)


class CpuNetwork:
    """A device executable whose network runs on the CPU; everything else is the GPU's."""

    def __init__(self, device: CudaDevice, spec: ModelSpec, inner: Executable) -> None:
        self.device, self._spec, self._inner = device, spec, inner
        self.batch = 1 if spec.form == "block" else 8
        pixels = spec.size[0] * spec.size[1] * self.batch
        with device.working():
            self._input = device.allocate(pixels * spec.planes * _FLOAT_BYTES)
            self._output = device.allocate(pixels * spec.output_planes * _FLOAT_BYTES)

    def run(self, slabs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return self._inner.run(slabs)

    def infer(self, slabs: Sequence[DeviceSlab]) -> list[int]:
        spec, device = self._spec, self.device
        planes, pixels = self.batch * spec.planes, spec.size[0] * spec.size[1]
        assemble(device, slabs, int(self._input), planes, pixels)
        fetched = device.fetch(int(self._input), planes * pixels * _FLOAT_BYTES)
        given = fetched.view(np.float32).reshape(self.batch, spec.planes, *spec.size)
        assert not given[len(slabs) :].any()
        answers = np.ascontiguousarray(self._inner.run(given))
        device.send(int(self._output), answers)
        size = answers[0].nbytes
        return [int(self._output) + place * size for place in range(len(slabs))]


class CpuNetworks:
    """A runtime of such executables."""

    def __init__(self, device: CudaDevice) -> None:
        self._device, self._inner = device, RUNTIMES["openvino"]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def load(self, spec: ModelSpec, artefact: Artefact) -> CpuNetwork:
        return CpuNetwork(self._device, spec, self._inner.load(spec, artefact))


def images() -> list[Image]:
    rng = np.random.default_rng(1)
    frames = [Frame(512, 512), Frame(300, 512, 1.2, 0.7), Frame(97, 131), Frame(768, 768)]
    made = []
    for frame in frames * 5:
        hu = rng.integers(-1024, 400, (frame.rows, frame.columns))
        made.append(Image(hu.astype(np.int16), frame))
    return made


def test_dali_leaves_its_planes_on_the_gpu(device: CudaDevice) -> None:
    given = images()
    arena = PlaneArena(device, SIZE)
    preparer = DevicePreparer(arena, WINDOW, batch=8)
    expected = Preparer(WINDOW, SIZE, batch=8).prepare(given)
    for _ in range(3):
        found = preparer.prepare(given)
        assert arena.held == len(given)
        for plane, wanted in zip(found, expected, strict=True):
            np.testing.assert_allclose(plane.to_host(), wanted, rtol=0, atol=PLANE_TOLERANCE)
        del found, plane


def test_coarse_planes(device: CudaDevice) -> None:
    given = images()
    planes = DevicePreparer(PlaneArena(device, SIZE), WINDOW, batch=8).prepare(given)
    for plane, coarse in zip(planes, coarse_planes(planes, 128), strict=True):
        blocks = plane.to_host().reshape(128, 2, 128, 2)
        total = blocks[:, 0, :, 0] + blocks[:, 0, :, 1] + blocks[:, 1, :, 0] + blocks[:, 1, :, 1]
        np.testing.assert_array_equal(coarse, np.rint(total / np.float32(4) * np.float32(255)))


def test_a_failed_call_is_named_and_the_device_goes_on(device: CudaDevice) -> None:
    with pytest.raises(DeviceLostError, match="cuMemAlloc failed"), device.working():
        device.allocate(2**60)
    with pytest.raises(DeviceError, match="cuMemcpyDtoHAsync failed"), device.working():
        device.fetch(0, 16)
    with device.working():
        memory = device.allocate(16)
        device.send(int(memory), np.arange(4, dtype=np.float32))
        fetched = device.fetch(int(memory), 16).view(np.float32)
    np.testing.assert_array_equal(fetched, [0, 1, 2, 3])


def compare(found: Sequence[SliceResult], expected: Sequence[SliceResult]) -> None:
    for name in ("lung", "lesion"):
        ours = np.stack([getattr(one, name) for one in found])
        theirs = np.stack([getattr(one, name) for one in expected])
        assert theirs.any()
        assert np.count_nonzero(ours != theirs) <= MASK_TOLERANCE * theirs.size


def results(segmenter: Segmenter) -> list[SliceResult]:
    policy = ScanPolicy(slab_shapes(segmenter.lesion_models))
    return segment_volume(made_slices(60, 1.25), segmenter, policy)


@pytest.mark.parametrize("write", [write_tiny_repository, write_block_repository])
def test_masks_are_those_of_the_cpu(write: Any, device: CudaDevice, tmp_path: Path) -> None:
    specs = load_repository(write(tmp_path))
    on_gpu = Segmenter(specs, CpuNetworks(device), "fp32", batch=16)
    assert on_gpu.memory is device
    (plane,) = on_gpu.prepare(images()[:1])
    assert isinstance(plane, DevicePlane)
    found = results(on_gpu)
    compare(found, results(Segmenter(specs, RUNTIMES["openvino"], "fp32", batch=16)))
    for ours, again in zip(results(on_gpu), found, strict=True):
        np.testing.assert_array_equal(ours.lung, again.lung)
        np.testing.assert_array_equal(ours.lesion, again.lesion)


@pytest.fixture(params=["tensorrt", "tensorrt-rtx"])
def runtime(request: pytest.FixtureRequest, gpu: Gpu) -> Runtime:
    found: Runtime = RUNTIMES[request.param]
    if reason := found.unavailable():
        pytest.skip(reason)
    return found


@pytest.mark.timeout(900)
def test_tensorrt_gives_the_same_masks_with_and_without_copies(
    runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shipped models in fp32: DALI on the GPU and bits back, or all of it through the CPU."""
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path))
    specs = load_repository()
    on_gpu = Segmenter(specs, runtime, "fp32")
    assert isinstance(on_gpu.memory, CudaDevice)
    copied = Segmenter(specs, runtime, "fp32", preprocess_device="cpu")
    assert copied.memory is None
    compare(results(on_gpu), results(copied))
