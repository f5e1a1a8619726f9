from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from appliance.quantify.lobes import (
    LobeScores,
    ct_score,
    lobe_scores,
    lung_high_opacity_score,
    lung_severity_score,
)
from appliance.quantify.regions import Region, count_regions, sum_regions, sum_sides

NAMES = (
    "right_upper_lobe",
    "right_middle_lobe",
    "right_lower_lobe",
    "left_upper_lobe",
    "left_lower_lobe",
)


@pytest.mark.parametrize(
    ("percent", "points"),
    [
        (None, 0),
        (0.0, 0),
        (1e-9, 1),
        (25.0, 1),
        (25.0001, 2),
        (50.0, 2),
        (50.0001, 3),
        (75.0, 3),
        (75.0001, 4),
        (100.0, 4),
    ],
)
def test_quarters_of_a_lobe(percent: float | None, points: int) -> None:
    assert lung_severity_score([percent]) == points
    assert lung_high_opacity_score([percent]) == points


@pytest.mark.parametrize(
    ("percent", "points"),
    [
        (None, 0),
        (0.0, 0),
        (1e-9, 1),
        (4.999, 1),
        (5.0, 2),
        (25.0, 2),
        (25.5, 3),
        (26.0, 3),
        (49.0, 3),
        (49.5, 3),
        (50.0, 4),
        (75.0, 4),
        (75.1, 5),
        (100.0, 5),
    ],
)
def test_classes_of_the_ct_score(percent: float | None, points: int) -> None:
    assert ct_score([percent]) == points


@given(st.lists(st.floats(0, 100), min_size=5, max_size=5), st.integers(0, 4), st.floats(0, 100))
def test_scores_grow_with_the_disease(po: list[float], lobe: int, more: float) -> None:
    worse = [*po[:lobe], max(po[lobe], more), *po[lobe + 1 :]]
    assert 0 <= lung_severity_score(po) <= lung_severity_score(worse) <= 20
    assert 0 <= ct_score(po) <= ct_score(worse) <= 25


def test_the_scores_of_lobes() -> None:
    lobes = [
        Region("right_upper_lobe", 1000, 300, 10),
        Region("right_middle_lobe", 500, 20, 0),
        Region("right_lower_lobe", 1000, 800, 510),
        Region("left_upper_lobe", 1000, 0, 0),
        Region("left_lower_lobe", 0, 0, 0),
    ]
    assert lobe_scores(lobes) == LobeScores(lss=2 + 1 + 4, lhos=1 + 3, ct_score=3 + 1 + 5)


def test_a_region_of_nothing_has_no_percentage() -> None:
    nothing, half = Region("none", 0.0, 0.0, 0.0), Region("half", 200.0, 100.0, 50.0)
    assert (nothing.po, nothing.pho, nothing.poi) == (None, None, None)
    assert (half.po, half.pho, half.poi) == (50.0, 25.0, 0.5)


def test_sides_are_the_sums_of_their_lobes() -> None:
    lobes = [Region(name, 10.0 + i, 2.0 + i, 1.0 + i) for i, name in enumerate(NAMES)]
    assert sum_sides(lobes) == (
        Region("right_lung", 33.0, 9.0, 6.0),
        Region("left_lung", 27.0, 11.0, 9.0),
    )


@given(
    arrays.arrays(np.uint8, (4, 4), elements=st.integers(0, 5)),
    arrays.arrays(np.int64, (3, 4, 4), elements=st.integers(0, 16)),
)
def test_each_cell_counts_for_its_label(labels: np.ndarray, kinds: np.ndarray) -> None:
    counts = count_regions(labels, kinds, 5)
    for label in range(6):
        np.testing.assert_array_equal(counts[:, label], kinds[:, labels == label].sum(axis=1))


@given(
    st.lists(
        st.tuples(
            arrays.arrays(np.int64, (3, 6), elements=st.integers(0, 10**6)), st.floats(0.1, 9)
        ),
        min_size=1,
        max_size=4,
    )
)
def test_regions_are_summed_exactly_in_any_order(slices: list[tuple[np.ndarray, float]]) -> None:
    found = {sum_regions(NAMES, *zip(*order, strict=True)) for order in permutations(slices)}
    assert len(found) == 1
    (lobes,) = found
    assert [lobe.name for lobe in lobes] == list(NAMES)
    expected = sum(counts[:, 2] * size for counts, size in slices) / 1000
    volumes = (lobes[1].lung_ml, lobes[1].lesion_ml, lobes[1].high_opacity_ml)
    np.testing.assert_allclose(volumes, expected)


def test_no_slices_make_empty_regions() -> None:
    assert sum_regions(NAMES[:1], [], []) == (Region(NAMES[0], 0.0, 0.0, 0.0),)
