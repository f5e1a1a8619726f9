from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from appliance.quantify.histogram import BINS
from appliance.quantify.normal import (
    NormalReference,
    average_reference,
    compare_with_normal,
    hellinger_distance,
    intersection_over_union,
)
from appliance.quantify.opacities import Opacities, opacities
from appliance.quantify.scores import Volumes
from appliance.quantify.severity import SeverityModel

FIELDS = {"intercept": -4.0, "poi": 20.0, "ihu": 0.002, "n": 120, "made": "2026-11-21"}


def peak(at: int) -> list[float]:
    return [1.0 if index == at else 0.0 for index in range(BINS)]


def test_ground_glass_is_what_is_not_consolidation() -> None:
    found = opacities(Volumes(lung_ml=4000, lesion_ml=400, high_opacity_ml=100))
    assert found == Opacities(300, 100, 7.5, 2.5)


def test_without_lung_there_are_no_opacities() -> None:
    with pytest.raises(ValueError, match="no"):
        opacities(Volumes())


histograms = arrays.arrays(np.float64, BINS, elements=st.floats(0, 1e6)).filter(
    lambda values: values.sum() > 0
)


@given(histograms)
def test_a_lung_like_the_reference_lies_at_no_distance(values: np.ndarray) -> None:
    reference = average_reference("itself", "", [values.tolist()])
    found = compare_with_normal((7 * values).tolist(), reference)
    assert found is not None
    assert found.hellinger == pytest.approx(0, abs=1e-6)
    assert found.intersection_over_union == pytest.approx(1)
    assert found.reference == "itself"


@given(histograms, histograms)
def test_distances_are_symmetric_and_bounded(one: np.ndarray, other: np.ndarray) -> None:
    p, q = one / one.sum(), other / other.sum()
    assert hellinger_distance(p, q) == hellinger_distance(q, p)
    assert 0 <= hellinger_distance(p, q) <= 1
    assert 0 <= intersection_over_union(p, q) <= 1 + 1e-12
    apart = 1 - intersection_over_union(p, q)
    assert (hellinger_distance(p, q) > 1e-6) <= (apart > 0)


def test_lungs_that_have_nothing_in_common_lie_farthest_apart() -> None:
    found = compare_with_normal(peak(3), average_reference("other", "", [peak(4)]))
    assert found is not None
    assert (found.hellinger, found.intersection_over_union) == (1.0, 0.0)


def test_known_distances() -> None:
    half, whole = np.array([0.5, 0.5]), np.array([1.0, 0.0])
    assert hellinger_distance(half, whole) == pytest.approx(math.sqrt(1 - math.sqrt(0.5)))
    assert intersection_over_union(half, whole) == pytest.approx(0.5 / 1.5)


def test_without_lung_there_is_no_comparison() -> None:
    assert compare_with_normal([0.0] * BINS, average_reference("one", "", [peak(1)])) is None


def test_each_scan_of_a_reference_counts_the_same() -> None:
    large = [1000 * value for value in peak(2)]
    reference = average_reference("two", "a large and a small scan", [large, peak(5)])
    assert reference.scans == 2
    assert (reference.shares[2], reference.shares[5]) == (0.5, 0.5)


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"name": ""}, "name"),
        ({"scans": 0}, "at least one scan"),
        ({"shares": (1.0,)}, "80 bins"),
        ({"shares": tuple(2 * value for value in peak(0))}, "sum to 1"),
    ],
)
def test_a_reference_that_is_none_is_named(fields: dict[str, object], fault: str) -> None:
    right = {"name": "n", "made_of": "m", "scans": 1, "shares": tuple(peak(0))}
    with pytest.raises(ValueError, match=fault):
        NormalReference(**{**right, **fields})  # type: ignore[arg-type]


def test_no_scans_make_no_reference() -> None:
    with pytest.raises(ValueError, match="at least one scan"):
        average_reference("none", "", [])


def test_the_probability_of_severe_disease() -> None:
    model = SeverityModel.of(FIELDS)
    odds = -4.0 + 20.0 * 0.3 + 0.002 * -500
    assert model.probability(0.3, -500) == pytest.approx(1 / (1 + math.exp(-odds)))
    assert (model.n, model.made) == (120, "2026-11-21")


def test_without_lesion_there_is_no_probability() -> None:
    model = SeverityModel.of(FIELDS)
    assert model.probability(0.0, None) is None
    assert model.probability(None, -500) is None


@given(st.floats(-1e6, 1e6), st.floats(0, 1))
def test_a_probability_is_one_whatever_the_coefficients(slope: float, poi: float) -> None:
    probability = SeverityModel(0, slope, 1.0, 1, "").probability(poi, -600)
    assert probability is not None
    assert 0 <= probability <= 1


@pytest.mark.parametrize("field", FIELDS)
def test_a_missing_field_is_named(field: str) -> None:
    with pytest.raises(ValueError, match=field):
        SeverityModel.of({name: value for name, value in FIELDS.items() if name != field})


@pytest.mark.parametrize(
    ("field", "value"),
    [("poi", "20"), ("ihu", math.inf), ("intercept", True), ("n", 0), ("n", 1.5)],
)
def test_a_wrong_field_is_named(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        SeverityModel.of({**FIELDS, field: value})
