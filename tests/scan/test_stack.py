from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.scan.stack import Section, Stack, section_of


def stack_of(positions: list[float]) -> Stack:
    stack = Stack()
    for position in positions:
        stack.insert(position, str(position))
    return stack


@given(st.lists(st.integers(-5000, 5000), unique=True, max_size=60))
def test_slices_stand_foot_to_head_whatever_order_they_came_in(places: list[int]) -> None:
    stack = stack_of([place / 10 for place in places])
    assert list(stack.positions) == sorted(place / 10 for place in places)
    assert list(stack.ids) == [str(position) for position in stack.positions]


@given(
    st.lists(st.integers(-500, 500), unique=True, min_size=1, max_size=40), st.integers(-600, 600)
)
def test_nearest_is_the_nearest(places: list[int], wanted: int) -> None:
    stack = stack_of([float(place) for place in places])
    found = stack.nearest(wanted)
    assert found is not None
    assert abs(stack.positions[found] - wanted) == min(abs(place - wanted) for place in places)


def test_nearest_of_an_empty_range_is_none() -> None:
    assert stack_of([1.0, 2.0]).nearest(1.0, 1, 1) is None


@pytest.mark.parametrize(
    ("spacing", "section"),
    [
        (0.6, Section.THIN),
        (1.5, Section.THIN),
        (1.51, Section.THIN),
        (2.0, Section.MEDIUM),
        (4.9, Section.MEDIUM),
        (4.998, Section.THICK),
        (5.0, Section.THICK),
        (10.0, Section.THICK),
    ],
)
def test_sections(spacing: float, section: Section) -> None:
    assert section_of(spacing) is section


def test_lengths_of_an_even_stack_are_its_spacing() -> None:
    assert stack_of([0.0, 2.0, 4.0, 6.0]).lengths_mm() == [2.0, 2.0, 2.0, 2.0]


def test_lengths_of_an_uneven_stack_meet_half_way() -> None:
    assert stack_of([0.0, 2.0, 4.5, 6.5]).lengths_mm() == pytest.approx([2.0, 2.25, 2.25, 2.0])


def test_lengths_stop_at_a_gap() -> None:
    stack = stack_of([0.0, 5.0, 10.0, 60.0, 65.0, 70.0])
    assert stack.lengths_mm() == [5.0] * 6
    (gap,) = stack.gaps()
    assert (gap.from_mm, gap.to_mm, gap.count) == (10.0, 60.0, 9)


def test_a_lone_slice_has_the_length_it_is_given() -> None:
    assert stack_of([3.0]).lengths_mm(alone_mm=5.0) == [5.0]
    assert Stack().lengths_mm() == []


def test_uneven_spacing_is_noticed_and_gaps_are_not_called_uneven() -> None:
    assert stack_of([0.0, 1.0, 2.0, 3.3, 4.3]).uneven()
    assert not stack_of([0.0, 1.0, 2.0, 9.0, 10.0]).uneven()
    assert not stack_of([0.0]).uneven()


def test_a_position_is_taken_only_by_a_slice_at_the_same_place() -> None:
    stack = stack_of([0.0, 0.5])
    assert stack.taken_by(0.55) == "0.5"
    assert stack.taken_by(0.25) is None
