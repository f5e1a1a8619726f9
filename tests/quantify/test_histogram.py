from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from appliance.quantify.histogram import (
    BIN_HU,
    BINS,
    FIRST_HU,
    NOTHING,
    HuCounts,
    volume_histogram,
)

planes = arrays.arrays(np.int16, (5, 6), elements=st.integers(-32768, 32767))


def test_a_value_falls_into_the_bin_that_begins_at_or_below_it() -> None:
    counts = HuCounts.of(np.array([-1024, -1009, -1008, 0], np.int16)).counts
    assert counts[:2].tolist() == [2, 1]
    assert counts[(0 - FIRST_HU) // BIN_HU] == 1
    assert counts.sum() == 4


def test_values_beyond_the_bins_are_counted_at_the_ends() -> None:
    counts = HuCounts.of(np.array([-32768, -1025, 256, 32767], np.int16)).counts
    assert (counts[0], counts[-1]) == (2, 2)


@given(planes)
def test_every_pixel_is_counted_once(hu: np.ndarray) -> None:
    expected = np.bincount(
        [min(max((value - FIRST_HU) // BIN_HU, 0), BINS - 1) for value in hu.ravel().tolist()],
        minlength=BINS,
    )
    np.testing.assert_array_equal(HuCounts.of(hu).counts, expected)


def test_no_pixels_take_no_memory() -> None:
    assert HuCounts.of(np.array([], np.int16)) == NOTHING
    assert NOTHING.counts.tolist() == [0] * BINS


def test_volumes_of_bins() -> None:
    one = HuCounts.of(np.full(1000, -800, np.int16))
    other = HuCounts.of(np.full(500, -800, np.int16))
    volumes = volume_histogram([one, NOTHING, other], [2.0, 9.0, 4.0])
    assert volumes[(-800 - FIRST_HU) // BIN_HU] == pytest.approx(4.0)
    assert sum(volumes) == pytest.approx(4.0)
    assert volume_histogram([], []) == (0.0,) * BINS


@given(st.lists(planes, min_size=3, max_size=4), st.floats(0.1, 3.7))
def test_the_order_of_slices_does_not_matter(hu: list[np.ndarray], size: float) -> None:
    counted = [(HuCounts.of(plane), size * (1 + index / 7)) for index, plane in enumerate(hu)]
    found = {volume_histogram(*zip(*order, strict=True)) for order in permutations(counted)}
    assert len(found) == 1
