from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.client import mask_plane
from breathhold.v1.types_pb2 import SliceMask


def as_the_contract_says(mask: SliceMask) -> list[int]:
    """The recipe in types.proto, word for word."""
    pixels = [0] * (mask.rows * mask.columns)
    pos, value = 0, 0
    for run in mask.runs:
        pixels[pos : pos + run] = [value] * run
        pos, value = pos + run, 1 - value
    return pixels


@given(st.lists(st.integers(0, 9), max_size=12), st.integers(1, 9))
def test_runs_are_read_as_the_contract_says(runs: list[int], columns: int) -> None:
    rows = sum(runs) // columns + 1
    mask = SliceMask(rows=rows, columns=columns, runs=runs)
    plane = mask_plane(mask)
    assert plane.shape == (rows, columns)
    assert plane.ravel().tolist() == as_the_contract_says(mask)


def test_no_runs_are_an_empty_mask() -> None:
    assert not mask_plane(SliceMask(rows=4, columns=5)).any()


def test_the_first_pixel_and_a_run_over_the_end_of_a_row() -> None:
    plane = mask_plane(SliceMask(rows=2, columns=3, runs=[0, 4]))
    np.testing.assert_array_equal(plane, [[True, True, True], [True, False, False]])


def test_too_many_pixels_are_an_error() -> None:
    with pytest.raises(ValueError, match="do not fit an image of 2 x 3 pixels"):
        mask_plane(SliceMask(rows=2, columns=3, runs=[1, 6]))
