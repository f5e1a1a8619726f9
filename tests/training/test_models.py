from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from engines.training.models import (
    PLANS,
    SHIPPED_PLANS,
    WINDOW_HU,
    ModelPlan,
    plane_indices,
    windowed,
)


def test_the_window_maps_its_ends_and_clips() -> None:
    low, high = WINDOW_HU
    values = windowed(np.array([-3000, low, (low + high) / 2, high, 3000]))
    np.testing.assert_allclose(values, [0, 0, 0.5, 1, 1])
    assert values.dtype == np.float32


@pytest.mark.parametrize(
    ("target", "spacing", "expected"),
    [
        (10, 1.0, [7, 10, 13]),
        (10, 1.25, [8, 10, 12]),
        (10, 5.0, [9, 10, 11]),
        (10, 0.56, [5, 10, 15]),
        (1, 1.0, [0, 1, 4]),
        (19, 1.0, [16, 19, 19]),
    ],
)
def test_neighbours_are_about_3_mm_away(target: int, spacing: float, expected: list[int]) -> None:
    assert plane_indices(target, 20, spacing, 3, 3.0) == expected


def test_one_plane_is_the_target() -> None:
    assert plane_indices(4, 20, 1.0, 1, 0.0) == [4]


@pytest.mark.parametrize("plan", PLANS.values(), ids=list(PLANS))
def test_each_network_answers_for_its_targets(plan: ModelPlan) -> None:
    network = dataclasses.replace(plan, width=8).build().train()
    with torch.no_grad():
        answer = network(torch.rand(1, plan.planes, 64, 64))
    targets = plan.planes if plan.is_block else 1
    alone = plan.role == "lung" or plan.network == "colinet"
    maps = targets if alone else 2 * targets
    assert answer.shape == (1, maps, 64, 64)


def test_the_lesion_network_of_colinet_can_start_from_its_lung_network() -> None:
    lung, lesion = (PLANS[name].build() for name in ("colinet_lung", "colinet"))
    lesion.load_state_dict(lung.state_dict())
    with torch.no_grad():
        planes = torch.rand(1, 1, 256, 256)
        torch.testing.assert_close(lesion.eval()(planes), lung.eval()(planes), rtol=0, atol=0)


def test_every_section_has_one_lesion_model() -> None:
    served = [
        section
        for plan in SHIPPED_PLANS.values()
        if plan.role == "lesion"
        for section in plan.sections
    ]
    assert sorted(served) == ["medium", "thick", "thin"]
