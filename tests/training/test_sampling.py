from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from engines.training.cases import UNLABELLED
from engines.training.models import PLANS
from engines.training.sampling import Sampler
from tests.training.made_cases import made_case


@pytest.mark.parametrize("role", ["lung", "lesion"])
def test_samples_have_the_shape_of_the_plan(role: str) -> None:
    plan = PLANS[role]  # type: ignore[index]
    sampler = Sampler([made_case()], plan, np.random.default_rng(1))
    for _ in range(12):
        sample = sampler.draw()
        assert sample.planes.shape == (plan.planes, 256, 256)
        assert sample.planes.dtype == np.float32
        assert 0 <= sample.planes.min() <= sample.planes.max() <= 1.2
        assert sample.label.shape == sample.known.shape == (256, 256)


def test_the_same_seed_draws_the_same_samples() -> None:
    first, second = (
        Sampler([made_case()], PLANS["lesion"], np.random.default_rng(5)) for _ in range(2)
    )
    for _ in range(5):
        np.testing.assert_array_equal(first.draw().planes, second.draw().planes)


def test_unlabelled_is_never_known_inside_the_body() -> None:
    case = made_case()
    lung = case.lung.copy()
    lung[:4] = UNLABELLED
    half = dataclasses.replace(case, lung=lung, spacing=5.0)
    sampler = Sampler([half], PLANS["lung"], np.random.default_rng(1))
    body = case.hu[0] > -1000
    for _ in range(20):
        assert sampler.draw().known[body].all()  # only slices 4 to 7 are drawn


def test_cases_without_a_label_of_the_role_are_left_out() -> None:
    case = made_case()
    unknown = dataclasses.replace(case, lung=np.full_like(case.lung, UNLABELLED))
    sampler = Sampler([case, unknown], PLANS["lung"], np.random.default_rng(1))
    assert all(sampler.draw().label.any() for _ in range(5))


def test_phantoms_are_a_small_share() -> None:
    real, phantom = made_case("a", 5.0), made_case("phantom", 5.0, synthetic=True)
    marked = dataclasses.replace(phantom, lung=np.zeros_like(phantom.lung))
    sampler = Sampler([real, marked], PLANS["lung"], np.random.default_rng(1))
    share = np.mean([not sampler.draw().label.any() for _ in range(300)])
    assert 0.07 < share < 0.22


def test_diseased_slices_come_more_often() -> None:
    sampler = Sampler([made_case(spacing=5.0)], PLANS["lesion"], np.random.default_rng(1))
    share = np.mean([sampler.draw().label.any() for _ in range(200)])
    assert share > 0.75  # 5 of 8 slices are diseased
