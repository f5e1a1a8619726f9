"""Slabs: what one inference is about and what it sees.

A slab is decided by the slices that exist, never by the order they came in:
the final slabs of a scan are a function of its set of slices. Here are the
slabs of models that see a slice and its neighbours; those of models that see
blocks are in :mod:`appliance.scan.blocks`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from appliance.scan.stack import Stack

#: A neighbour farther than this many times the wanted distance is none: with
#: adjacent planes, nothing is seen across even one missing slice.
_REACH = 1.6


class Form(enum.Enum):
    """What a model answers: the middle one of the planes it sees, or each of them."""

    NEIGHBOURS = "neighbours"
    BLOCK = "block"


@dataclass(frozen=True, slots=True)
class SlabShape:
    """What a model wants to see.

    Parameters
    ----------
    model
        Name of the model.
    planes
        Neighbours: an odd number, the target is the middle one. Block: any from 2.
    neighbour_mm
        Distance between planes. Neighbours: adjacent slices where the scan is
        coarser. Block: the planes lie at its multiples on the patient axis.
    form
        Which of the two.
    overlap
        Planes that two consecutive blocks share, at most half of them.
    """

    model: str
    planes: int
    neighbour_mm: float
    form: Form = Form.NEIGHBOURS
    overlap: int = 0

    def __post_init__(self) -> None:
        if self.planes > 1 and self.neighbour_mm <= 0:
            raise ValueError("a slab of several planes needs a distance between them")
        if self.form is Form.BLOCK:
            if self.planes < 2:
                raise ValueError(f"a slab of blocks has at least 2 planes, not {self.planes}")
            if not 0 <= self.overlap <= self.planes // 2:
                raise ValueError(f"slabs of {self.planes} planes cannot share {self.overlap}")
        elif self.planes < 1 or self.planes % 2 == 0:
            raise ValueError(f"a slab has an odd number of planes, not {self.planes}")

    @property
    def stride(self) -> int:
        """Planes from the start of one block to the start of the next."""
        return self.planes - self.overlap

    def step_mm(self, spacing_mm: float) -> float:
        return max(self.neighbour_mm, spacing_mm)


@dataclass(frozen=True, slots=True)
class Block:
    """The planes of one block, foot to head; each is the mean of some slices, foot to head."""

    planes: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Share:
    """What one plane of one block adds to the probability of a target: `weight` of it."""

    block: Block
    plane: int
    weight: float


@dataclass(frozen=True, slots=True)
class Slab:
    """One inference: the model, the slice it is about, and what it sees.

    Parameters
    ----------
    model
        Name of the lesion model.
    target
        The slice.
    planes
        Slices, foot to head. Neighbours: the target is in their middle. Block:
        the target alone.
    shares
        Block: what the target's probability is summed from, in this order; the
        weights sum to 1. Neighbours: none.
    """

    model: str
    target: str
    planes: tuple[str, ...]
    shares: tuple[Share, ...] = ()


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
