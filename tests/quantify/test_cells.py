from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from appliance.quantify.cells import count_cells
from appliance.scan.masks import encode_runs

CELLS = 6


@st.composite
def masks_and_places(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A mask, and for its rows and columns the cells they lie in; some cells may hold none."""
    mask = draw(arrays.arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9))))
    rows, columns = (
        np.sort(draw(arrays.arrays(np.intp, size, elements=st.integers(0, CELLS - 1))))
        for size in mask.shape
    )
    return mask, rows, columns


@given(masks_and_places())
def test_runs_are_counted_as_their_mask_would_be(
    drawn: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    mask, rows, columns = drawn
    expected = np.zeros((CELLS, CELLS), np.int64)
    np.add.at(expected, (rows[:, None], columns[None, :]), mask)
    np.testing.assert_array_equal(count_cells(encode_runs(mask), rows, columns, CELLS), expected)


def test_a_run_over_several_rows_is_counted_in_each() -> None:
    places = np.arange(4)
    assert (count_cells([2, 12], places, places, 4).sum(axis=1) == [2, 4, 4, 2]).all()
