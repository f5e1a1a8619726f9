"""Cutting slabs: which neighbouring slices one inference needs.

A slab is decided by the slices that exist, never by the order they came in:
the final slabs of a scan are a function of its set of slices.
"""

from __future__ import annotations

from dataclasses import dataclass

from appliance.scan.stack import Stack

#: A neighbour farther than this many times the wanted distance is none: with
#: adjacent planes, nothing is seen across even one missing slice.
_REACH = 1.6


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

    At an end of the scan, or across a gap, the next plane nearer to the target
    stands in for a neighbour that is not there.
    """
    below = _neighbours(stack, index, shape, spacing_mm, -1)
    above = _neighbours(stack, index, shape, spacing_mm, +1)
    planes = [*reversed(_filled(index, below)), index, *_filled(index, above)]
    return Slab(shape.model, stack.ids[index], tuple(stack.ids[plane] for plane in planes))


def is_settled(stack: Stack, index: int, shape: SlabShape, spacing_mm: float) -> bool:
    """True when every wanted neighbour is there as near as this spacing allows.

    Used while slices still arrive; `spacing_mm` is then the smallest step so far.
    """
    step, here = shape.step_mm(spacing_mm), stack.positions[index]
    tolerance = spacing_mm / 2 + 0.05
    for side in (-1, +1):
        for number, found in enumerate(_neighbours(stack, index, shape, spacing_mm, side), start=1):
            wanted = here + side * number * step
            if found is None or abs(stack.positions[found] - wanted) > tolerance:
                return False
    return True


def _neighbours(
    stack: Stack, index: int, shape: SlabShape, spacing_mm: float, side: int
) -> list[int | None]:
    """On one side of the target, from near to far, the slice nearest to each plane's place."""
    step, here = shape.step_mm(spacing_mm), stack.positions[index]
    low, high = (0, index) if side < 0 else (index + 1, len(stack))
    found: list[int | None] = []
    for number in range(1, shape.planes // 2 + 1):
        nearest = stack.nearest(here + side * number * step, low, high)
        if nearest is not None and abs(stack.positions[nearest] - here) > _REACH * step * number:
            nearest = None
        found.append(nearest)
    return found


def _filled(index: int, neighbours: list[int | None]) -> list[int]:
    """Missing neighbours replaced by the next nearer plane."""
    planes = [index]
    for found in neighbours:
        planes.append(planes[-1] if found is None else found)
    return planes[1:]
