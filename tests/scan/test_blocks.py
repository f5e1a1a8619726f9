"""Blocks of 3-D models: which there are, what they see, and how their answers are blended."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from appliance.scan.blocks import Blocks
from appliance.scan.slabs import Block, Form, Slab, SlabShape
from appliance.scan.stack import Stack
from tests.scan.test_stack import stack_of

SHAPE = SlabShape("lesion_thin", 8, 3.0, Form.BLOCK, 2)

SHAPES = st.tuples(st.integers(2, 9), st.sampled_from([1.0, 3.0]), st.integers(0, 4)).map(
    lambda drawn: SlabShape(
        "lesion_thin", drawn[0], drawn[1], Form.BLOCK, min(drawn[2], drawn[0] // 2)
    )
)
PLACES = st.lists(st.integers(-900, 900), unique=True, min_size=1, max_size=60).map(
    lambda tenths: sorted(number / 4 for number in tenths)
)


def slabs_of(stack: Stack, shape: SlabShape = SHAPE) -> list[Slab]:
    blocks = Blocks(stack, shape)
    return [blocks.slab(index) for index in range(len(stack))]


def blocks_of(slabs: list[Slab]) -> list[Block]:
    return list(dict.fromkeys(share.block for slab in slabs for share in slab.shares))


def blended(slab: Slab, answer: Callable[[Block], list[float]]) -> float:
    return sum(share.weight * answer(share.block)[share.plane] for share in slab.shares)


def seen(block: Block) -> list[float]:
    """The answer of a network that returns its input, where slices hold their own heights."""
    return [float(np.mean([float(uid) for uid in plane])) for plane in block.planes]


def even(count: int, spacing: float, start: float = 0.0) -> Stack:
    return stack_of([start + index * spacing for index in range(count)])


def test_planes_are_means_of_the_slices_around_their_places() -> None:
    (block, *_) = blocks_of(slabs_of(even(40, 1.0)))
    assert block.planes[0] == ("0.0", "1.0")
    assert block.planes[1] == ("2.0", "3.0", "4.0")
    assert block.planes[7] == ("20.0", "21.0", "22.0")


def test_the_nearest_slice_stands_in_where_there_is_none() -> None:
    (block,) = blocks_of(slabs_of(stack_of([1.0, 2.0, 10.0])))
    assert block.planes == (("1.0",), ("2.0",), ("2.0",), *[("10.0",)] * 5)


def test_blocks_lie_on_the_patient_axis_and_overlap() -> None:
    first, second, *_ = blocks_of(slabs_of(even(60, 3.0)))
    assert first.planes[6:] == second.planes[:2] == (("18.0",), ("21.0",))
    moved = blocks_of(slabs_of(even(60, 3.0, start=-18.0)))
    assert first in moved[:3]


def test_the_upper_block_rises_evenly_through_the_overlap() -> None:
    slabs = slabs_of(even(40, 3.0))
    assert [[share.weight for share in slab.shares] for slab in slabs[5:9]] == [
        [1.0],
        pytest.approx([2 / 3, 1 / 3]),
        pytest.approx([1 / 3, 2 / 3]),
        [1.0],
    ]
    assert [share.plane for share in slabs[6].shares] == [6, 0]


def test_no_block_is_made_for_what_another_holds() -> None:
    """The scan ends within the overlap of two blocks: the lower one answers alone."""
    slabs = slabs_of(even(8, 3.0))
    assert len(blocks_of(slabs)) == 1
    assert [share.weight for share in slabs[7].shares] == [1.0]
    assert len(blocks_of(slabs_of(even(9, 3.0)))) == 2
    from_above = slabs_of(even(8, 3.0, start=18.0))
    assert len(blocks_of(from_above)) == 1
    assert [share.weight for share in from_above[0].shares] == [1.0]


def test_no_block_lies_in_a_gap() -> None:
    slabs = slabs_of(stack_of([0.0, 3.0, 210.0, 213.0]))
    assert len(blocks_of(slabs)) == 2


@settings(max_examples=200, deadline=None)
@given(PLACES, SHAPES)
def test_every_slice_is_answered_whole(places: list[float], shape: SlabShape) -> None:
    stack = stack_of(places)
    slabs = slabs_of(stack, shape)
    assert [slab.target for slab in slabs] == list(stack.ids)
    assert [slab.planes for slab in slabs] == [(uid,) for uid in stack.ids]
    for slab in slabs:
        assert sum(share.weight for share in slab.shares) == pytest.approx(1.0, abs=1e-12)
        assert all(0 < share.weight <= 1 for share in slab.shares)
        assert blended(slab, lambda block: [0.7] * len(block.planes)) == pytest.approx(0.7)
    for block in blocks_of(slabs):
        assert len(block.planes) == shape.planes
        heights = seen(block)
        assert heights == sorted(heights)


@settings(max_examples=100, deadline=None)
@given(PLACES, SHAPES, st.randoms(use_true_random=False))
def test_slabs_are_a_function_of_the_set_of_slices(
    places: list[float], shape: SlabShape, mixer: object
) -> None:
    shuffled = list(places)
    mixer.shuffle(shuffled)  # type: ignore[attr-defined]
    assert slabs_of(stack_of(shuffled), shape) == slabs_of(stack_of(places), shape)


@settings(max_examples=100, deadline=None)
@given(
    SHAPES,
    st.sampled_from([0.5, 0.625, 0.75, 1.0, 1.5]),
    st.integers(20, 120),
    st.floats(-300, 300).map(lambda start: round(start, 2)),
)
def test_there_is_no_seam_between_blocks(
    shape: SlabShape, spacing: float, count: int, start: float
) -> None:
    """A network that returns its input is interpolated along the whole axis, not per block."""
    stack = even(count, spacing, start)
    slabs, step = slabs_of(stack, shape), shape.neighbour_mm
    positions = np.array(stack.positions)
    planes = np.arange(np.floor(positions[0] / step) - 1, np.ceil(positions[-1] / step) + 2)
    nearest = np.floor(positions / step + 0.5)
    there = np.array([plane for plane in planes if (nearest == plane).any()])
    assume(len(there) == there[-1] - there[0] + 1)
    means = [positions[nearest == plane].mean() for plane in there]
    for slab, position in zip(slabs, positions, strict=True):
        if there[0] * step <= position <= there[-1] * step:
            expected = np.interp(position, there * step, means)
            assert blended(slab, seen) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("planes", "neighbour_mm", "overlap"), [(1, 3.0, 0), (8, 0.0, 2), (8, 3.0, 5), (8, 3.0, -1)]
)
def test_impossible_blocks_are_errors(planes: int, neighbour_mm: float, overlap: int) -> None:
    with pytest.raises(ValueError, match="slab"):
        SlabShape("lesion", planes, neighbour_mm, Form.BLOCK, overlap)
