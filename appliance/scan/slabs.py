"""Cutting slabs: which neighbouring slices one inference needs.

A slab is decided by the slices that exist, never by the order they came in:
the final slabs of a scan are a function of its set of slices.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from appliance.scan.stack import Stack

#: A neighbour farther than this many times the wanted distance is none.
_REACH = 2.0


@dataclass(frozen=True, slots=True)
class SlabShape:
    """What a model wants to see around its target slice.

    Parameters
    ----------
    model
        Name of the model.
    planes
        Odd number of planes; the target is the middle one.
    neighbour_mm
        Distance between planes; adjacent slices where the scan is coarser.
    """

    model: str
    planes: int
    neighbour_mm: float

    def __post_init__(self) -> None:
        if self.planes < 1 or self.planes % 2 == 0:
            raise ValueError(f"a slab has an odd number of planes, not {self.planes}")
        if self.planes > 1 and self.neighbour_mm <= 0:
            raise ValueError("a slab of several planes needs a distance between them")

    def step_mm(self, spacing_mm: float) -> float:
        return max(self.neighbour_mm, spacing_mm)


@dataclass(frozen=True, slots=True)
class Slab:
    """One inference: the model, the slice it is about, and the planes it sees, foot to head."""

    model: str
    target: str
    planes: tuple[str, ...]


def cut(stack: Stack, index: int, shape: SlabShape, spacing_mm: float) -> Slab:
    """The slab of one slice given all slices there are.

    At an end of the scan, or across a gap, the target itself stands in for a
    neighbour that is not there.
    """
    planes = tuple(
        stack.ids[index if found is None else found]
        for found in _planes(stack, index, shape, spacing_mm)
    )
    return Slab(shape.model, stack.ids[index], planes)


def is_settled(stack: Stack, index: int, shape: SlabShape, spacing_mm: float) -> bool:
    """True when every wanted neighbour is there as near as this spacing allows.

    Used while slices still arrive; `spacing_mm` is then the smallest step so far.
    """
    step = shape.step_mm(spacing_mm)
    tolerance = spacing_mm / 2 + 0.05
    for offset, found in zip(
        _offsets(shape), _planes(stack, index, shape, spacing_mm), strict=True
    ):
        wanted = stack.positions[index] + offset * step
        if found is None or abs(stack.positions[found] - wanted) > tolerance:
            return False
    return True


def _offsets(shape: SlabShape) -> range:
    half = shape.planes // 2
    return range(-half, half + 1)


def _planes(stack: Stack, index: int, shape: SlabShape, spacing_mm: float) -> Iterator[int | None]:
    """For each plane the slice nearest to its place on its side of the target, if any."""
    step = shape.step_mm(spacing_mm)
    here = stack.positions[index]
    for offset in _offsets(shape):
        if offset == 0:
            yield index
            continue
        low, high = (0, index) if offset < 0 else (index + 1, len(stack))
        found = stack.nearest(here + offset * step, low, high)
        if found is not None and abs(stack.positions[found] - here) > _REACH * step * abs(offset):
            found = None
        yield found
