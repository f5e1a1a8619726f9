"""The slabs of a scan in the form its model wants: the final ones, and those settled early."""

from __future__ import annotations

from appliance.scan.blocks import Blocks
from appliance.scan.slabs import Form, Slab, SlabShape, cut, is_settled
from appliance.scan.stack import Stack


def final_slabs(stack: Stack, shape: SlabShape, spacing_mm: float) -> list[Slab]:
    """One slab a slice, foot to head, given all slices there are."""
    if shape.form is Form.BLOCK:
        blocks = Blocks(stack, shape)
        return [blocks.slab(index) for index in range(len(stack))]
    return [cut(stack, index, shape, spacing_mm) for index in range(len(stack))]


def settled_slabs(
    stack: Stack, index: int, shape: SlabShape, step_mm: float, growing: int
) -> list[Slab]:
    """The slabs near a new slice that the slices to come will hardly change.

    Only work is lost when they do change: the final slabs decide.

    Parameters
    ----------
    stack
        All slices so far.
    index
        Of the new slice.
    shape
        Of the model that serves a scan with this step.
    step_mm
        Smallest step so far.
    growing
        +1 when the scan grows towards the head, -1 towards the feet.
    """
    if shape.form is Form.BLOCK:
        return Blocks(stack, shape).settled_near(index, step_mm, growing)
    reach = shape.step_mm(step_mm) * (shape.planes // 2) + step_mm
    here = stack.positions[index]
    return [
        cut(stack, near, shape, step_mm)
        for near in stack.within(here - reach, here + reach)
        if is_settled(stack, near, shape, step_mm)
    ]
