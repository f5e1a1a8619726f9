"""DALI on a GPU gives what DALI on the CPU gives.

Both devices interpolate in float32, but sum in another order. A prepared plane may differ
by half a HU of the window at most; of a mask, those pixels whose probability is the
threshold within that rounding.
"""

from __future__ import annotations

import numpy as np
import pytest

from calibration.phantom import make_phantom
from engines.models import load_repository
from engines.preprocess import Frame, Image, Preparer, Restorer
from engines.runtimes.tensorrt.driver import Gpu

#: HU.
PLANE_TOLERANCE_HU = 0.5
#: Share of a mask's pixels.
MASK_TOLERANCE = 1e-4

LUNG = next(spec for spec in load_repository() if spec.role == "lung")


@pytest.fixture(scope="module")
def images() -> list[Image]:
    """Slices of several grids, some with pixels that are not square."""
    images = []
    for seed, matrix in ((1, 512), (2, 256), (3, 300)):
        made = make_phantom(seed, section="thick", slices=8, matrix=matrix)
        frame = Frame(matrix, matrix, 1.0, 1.0 if matrix != 300 else 0.7)
        images += [Image(np.ascontiguousarray(hu), frame) for hu in made.hu]
    return images


def test_planes(gpu: Gpu, images: list[Image]) -> None:
    low, high = LUNG.window_hu
    on_cpu = Preparer(LUNG.window_hu, LUNG.size).prepare(images)
    on_gpu = Preparer(LUNG.window_hu, LUNG.size, device="gpu", device_id=0).prepare(images)
    for ours, theirs in zip(on_gpu, on_cpu, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=PLANE_TOLERANCE_HU / (high - low), rtol=0)


def test_masks(gpu: Gpu, images: list[Image]) -> None:
    """What a network might answer: a smooth edge along the lung's."""
    planes = [1 - plane for plane in Preparer(LUNG.window_hu, LUNG.size).prepare(images)]
    frames = [image.frame for image in images]
    on_cpu = Restorer(0.5).restore(planes, frames)
    on_gpu = Restorer(0.5, device="gpu", device_id=0).restore(planes, frames)
    for ours, theirs in zip(on_gpu, on_cpu, strict=True):
        assert ours.shape == theirs.shape
        assert theirs.any()
        assert np.count_nonzero(ours != theirs) <= MASK_TOLERANCE * theirs.size


def test_what_shares_a_batch_changes_nothing(gpu: Gpu, images: list[Image]) -> None:
    preparer = Preparer(LUNG.window_hu, LUNG.size, device="gpu", device_id=0)
    together = preparer.prepare(images)
    for image, plane in zip(images[::7], together[::7], strict=True):
        np.testing.assert_array_equal(preparer.prepare([image])[0], plane)
