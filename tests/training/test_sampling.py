from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from engines.training.cases import UNLABELLED
from engines.training.models import PLANS
from engines.training.sampling import Sampler
from tests.training.made_cases import made_case


@pytest.mark.parametrize(("model", "maps"), [("lung", 1), ("lesion_thick", 2), ("lesion_thin", 32)])
@pytest.mark.parametrize("spacing", [1.0, 5.0])
def test_samples_have_the_shape_of_the_plan(model: str, maps: int, spacing: float) -> None:
    plan = PLANS[model]
    sampler = Sampler([made_case(spacing=spacing)], plan, np.random.default_rng(1))
    for _ in range(8):
        sample = sampler.draw()
        assert sample.planes.shape == (plan.planes, 256, 256)
        assert sample.planes.dtype == np.float32
        assert 0 <= sample.planes.min() <= sample.planes.max() <= 1.3
        assert sample.label.shape == sample.known.shape == (maps, 256, 256)
        assert 0 <= sample.label.min() <= sample.label.max() <= 1


def test_a_block_of_a_tall_scan_shows_the_lung_in_each_plane() -> None:
    case = made_case(spacing=3.0)
    sampler = Sampler([case], PLANS["lesion_thin"], np.random.default_rng(3))
    sample = sampler.draw(planes=4)
    assert sample.planes.shape == (4, 256, 256)
    lung = sample.label[4:]
    assert (lung[:, 128, 80] == 1).all()
    assert (lung[:, 128, 10] == 0).all()


def test_the_second_annotation_softens_the_label() -> None:
    case = made_case(spacing=5.0)
    more = np.maximum(case.lesion, case.lung)
    sampler = Sampler(
        [dataclasses.replace(case, lesion_b=more)], PLANS["lesion_thick"], np.random.default_rng(2)
    )
    drawn = sampler._plain(sampler._cases[0], 5)
    assert drawn.lesion[0, 150, 128] == 1
    assert drawn.lesion[0, 90, 128] == pytest.approx(0.3)
    assert drawn.lesion[0, 10, 10] == 0


def test_the_same_seed_draws_the_same_samples() -> None:
    first, second = (
        Sampler([made_case()], PLANS["lesion_thick"], np.random.default_rng(5)) for _ in range(2)
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
        assert sampler.draw().known[0][body].all()  # only slices 4 to 7 are drawn


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
    sampler = Sampler([made_case(spacing=5.0)], PLANS["lesion_thick"], np.random.default_rng(1))
    share = np.mean([sampler.draw().label.any() for _ in range(200)])
    assert share > 0.75  # 5 of 8 slices are diseased


def test_windows_look_at_lesions_and_lung_but_lung_networks_anywhere() -> None:
    case = made_case(spacing=5.0)
    rng = np.random.default_rng(1)
    lesions = Sampler([case], PLANS["lesion_thick"], rng)
    focus = [lesions.draw().focus for _ in range(30)]
    places = [place for place in focus if place is not None]
    assert 15 < len(places) < 30
    assert all(case.lung[0, row, column] for row, column in places)
    assert any(case.lesion[5, row, column] for row, column in places)
    lung = Sampler([case], PLANS["lung"], rng)
    assert all(lung.draw().focus is None for _ in range(5))


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_phantoms_make_up_the_share_that_was_asked_for(share: float) -> None:
    phantom = made_case("phantom", synthetic=True)
    phantom = dataclasses.replace(phantom, lung=np.zeros_like(phantom.lung))
    cases = [made_case(), phantom]
    sampler = Sampler(cases, PLANS["lung"], np.random.default_rng(1), phantom_share=share)
    phantoms = sum(not sampler.draw().label.any() for _ in range(40))
    assert phantoms == pytest.approx(40 * share, abs=12 if 0 < share < 1 else 0)
