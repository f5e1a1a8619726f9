from __future__ import annotations

import numpy as np
import pytest
import torch

from engines.training.augment import collate, graded
from engines.training.models import windowed
from engines.training.sampling import Sample
from tests.training.made_cases import disks


def _samples(count: int) -> list[Sample]:
    hu, lesion, _ = disks(1, lesion_from=0)
    known = np.ones((1, 256, 256), bool)
    known[:, :10] = False
    return [Sample(windowed(hu), lesion.astype(np.float32), known) for _ in range(count)]


@pytest.mark.parametrize(("crop", "side"), [(None, 256), (96, 96)])
def test_frames_and_crops(crop: int | None, side: int) -> None:
    batch = collate(_samples(4), np.random.default_rng(2), crop)
    for tensor in (batch.planes, batch.label, batch.known):
        assert tensor.shape == (4, 1, side, side)
        assert tensor.dtype == torch.float32
    assert set(batch.label.unique().tolist()) <= {0.0, 1.0}
    assert set(batch.known.unique().tolist()) <= {0.0, 1.0}
    assert batch.planes.min() >= 0
    assert batch.planes.max() <= 1


def test_image_and_label_move_together() -> None:
    batch = collate(_samples(8), np.random.default_rng(3), None)
    inside = batch.planes[batch.label == 1]
    assert inside.median() == pytest.approx(float(windowed(np.array(-400))), abs=0.08)


def test_a_field_smaller_than_the_frame_shows_its_edge() -> None:
    batch = collate(_samples(24), np.random.default_rng(4), None)
    corners = batch.planes[:, 0, 0, 0]
    assert (corners == 0).any()  # padding beyond the frame
    assert (corners > 0.1).any()  # air


def test_grading_shifts_hu_but_keeps_their_order() -> None:
    planes = torch.full((64, 1, 16, 16), float(windowed(np.array(-600))))
    changed = graded(planes, np.random.default_rng(1))
    means = changed.mean(dim=(1, 2, 3))
    assert means.std() > 0.005
    assert (means - planes[0, 0, 0, 0]).abs().max() < 0.06


def test_equal_chance_gives_equal_batches() -> None:
    first, second = (collate(_samples(2), np.random.default_rng(7), 64) for _ in range(2))
    torch.testing.assert_close(first.planes, second.planes, rtol=0, atol=0)


def test_a_window_shows_its_focus() -> None:
    hu, _, _ = disks(1, lesion_from=0)
    known = np.ones((1, 256, 256), bool)
    place = np.zeros((1, 256, 256), np.float32)
    place[0, 60:64, 200:204] = 1
    samples = [Sample(windowed(hu), place, known, focus=(62, 202)) for _ in range(40)]
    batch = collate(samples, np.random.default_rng(5), 96)
    shown = batch.label.amax(dim=(1, 2, 3)) == 1
    assert shown.float().mean() > 0.9
    anywhere = [Sample(windowed(hu), place, known) for _ in range(40)]
    seldom = collate(anywhere, np.random.default_rng(5), 96).label.amax(dim=(1, 2, 3)) == 1
    assert seldom.float().mean() < 0.5
