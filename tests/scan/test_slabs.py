from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.scan.slabs import SlabShape, cut, is_settled
from tests.scan.test_stack import stack_of

SHAPE = SlabShape("lesion", 3, 3.0)


def test_thin_slices_see_neighbours_three_millimetres_away() -> None:
    stack = stack_of([float(place) for place in range(20)])
    assert cut(stack, 10, SHAPE, 1.0).planes == ("7.0", "10.0", "13.0")


def test_thick_slices_see_the_adjacent_ones() -> None:
    stack = stack_of([0.0, 5.0, 10.0, 15.0])
    assert cut(stack, 1, SHAPE, 5.0).planes == ("0.0", "5.0", "10.0")


def test_at_the_ends_what_there_is_stands_in() -> None:
    stack = stack_of([0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    assert cut(stack, 0, SHAPE, 1.0).planes == ("0.0", "0.0", "3.0")
    assert cut(stack, 1, SHAPE, 1.0).planes == ("0.0", "1.0", "4.0")


def test_nothing_is_seen_across_a_gap() -> None:
    stack = stack_of([0.0, 5.0, 60.0, 65.0])
    assert cut(stack, 1, SHAPE, 5.0).planes == ("0.0", "5.0", "5.0")
    one_missing = stack_of([0.0, 5.0, 15.0, 20.0])
    assert cut(one_missing, 1, SHAPE, 5.0).planes == ("0.0", "5.0", "5.0")


def test_settled_only_when_the_neighbours_are_there() -> None:
    stack = stack_of([0.0, 1.0, 2.0, 3.0])
    assert not is_settled(stack, 1, SHAPE, 1.0)
    for place in (4.0, 5.0, 6.0):
        stack.insert(place, str(place))
    assert is_settled(stack, 3, SHAPE, 1.0)
    assert not is_settled(stack, 0, SHAPE, 1.0)


@given(st.lists(st.integers(0, 400), unique=True, min_size=1, max_size=50), st.data())
def test_planes_run_foot_to_head_around_the_target(places: list[int], data: st.DataObject) -> None:
    stack = stack_of([float(place) for place in places])
    index = data.draw(st.integers(0, len(places) - 1))
    slab = cut(stack, index, SlabShape("lesion", 5, 3.0), stack.spacing_mm or 1.0)
    assert slab.planes[2] == slab.target == stack.ids[index]
    assert [float(plane) for plane in slab.planes] == sorted(float(plane) for plane in slab.planes)


@pytest.mark.parametrize(("planes", "neighbour_mm"), [(2, 3.0), (0, 3.0), (3, 0.0)])
def test_impossible_shapes_are_errors(planes: int, neighbour_mm: float) -> None:
    with pytest.raises(ValueError, match="slab"):
        SlabShape("lesion", planes, neighbour_mm)
