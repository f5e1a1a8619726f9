from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from appliance.scan.masks import decode_runs, encode_runs


@given(arrays.arrays(np.bool_, arrays.array_shapes(min_dims=2, max_dims=2, max_side=20)))
def test_a_mask_survives_the_wire(mask: np.ndarray) -> None:
    runs = encode_runs(mask)
    assert np.array_equal(decode_runs(runs, *mask.shape), mask)
    assert all(run > 0 for run in runs[1:])
    assert len(runs) % 2 == 0


def test_the_form_is_the_documented_one() -> None:
    mask = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]], dtype=bool)
    assert encode_runs(mask) == [2, 2, 3, 1]
    assert encode_runs(np.ones((2, 2), dtype=bool)) == [0, 4]
    assert encode_runs(np.zeros((2, 2), dtype=bool)) == []


@pytest.mark.parametrize("runs", [[5], [0, 5], [-1, 2], [2**40, 1]])
def test_runs_that_do_not_fit_are_an_error(runs: list[int]) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        decode_runs(runs, 2, 2)


@given(st.lists(st.integers(0, 30), max_size=12))
def test_decoding_fills_as_the_proto_says(runs: list[int]) -> None:
    expected = np.zeros(400, dtype=bool)
    position, value = 0, False
    for run in runs:
        expected[position : position + run] = value
        position, value = position + run, not value
    assert np.array_equal(decode_runs(runs, 20, 20).ravel(), expected)
