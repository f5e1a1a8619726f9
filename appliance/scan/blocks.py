"""Blocks: the slabs of 3-D models, which answer every plane they see.

Plane p lies at p times the planes' distance on the patient axis and is the mean
of the slices nearer to it than to any other plane; where there is none, beyond
the ends or in a gap, the nearest slice stands in. Block k begins at plane k
times the stride. From the lowest slice's plane to the highest's there are as few
blocks as cover them, without those that hold no slice.

A slice's probability is interpolated linearly between the two planes around
it. A plane that two blocks share is a mixture of both, the upper block's part
growing evenly from plane to plane, so that there is no seam; what no block
holds is left to the other plane or the other block.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from itertools import pairwise

from appliance.scan.slabs import Block, Share, Slab, SlabShape
from appliance.scan.stack import Stack

#: Slices farther apart than this many times the smallest step may lack one between them.
_GAP = 1.5


class Blocks:
    """The blocks of a scan given the slices there are now; a function of their set alone.

    Parameters
    ----------
    stack
        At least one slice.
    shape
        Of a block model.
    """

    def __init__(self, stack: Stack, shape: SlabShape) -> None:
        self._stack, self._shape = stack, shape
        self._blocks: dict[int, Block] = {}
        self._exists: dict[int, bool] = {}
        bottom, top = (self._plane_of(stack.positions[end]) for end in (0, -1))
        self._lowest = bottom // shape.stride
        self._highest = max(self._lowest, -((shape.planes - 1 - top) // shape.stride))

    def slab(self, index: int) -> Slab:
        """The slab of one slice."""
        shares = tuple(
            Share(self._block(number), plane - number * self._shape.stride, weight)
            for plane, number, weight in self._weights(index)
        )
        target = self._stack.ids[index]
        return Slab(self._shape.model, target, (target,), shares)

    def settled_near(self, index: int, step_mm: float, growing: int) -> list[Slab]:
        """Slabs of which a new slice may have settled the blocks; parameters of
        :func:`appliance.scan.cutting.settled_slabs`.
        """
        around = range(max(0, index - 1), min(len(self._stack), index + 2))
        planes = [self._plane_of(self._stack.positions[near]) for near in around]
        numbers = sorted({number for plane in planes for number in self._holding(plane)})
        settled = {number: self._is_settled(number, step_mm, growing) for number in numbers}
        if not any(settled.values()):
            return []
        targets = sorted({near for number in numbers for near in self._needing(number)})
        found = []
        for target in targets:
            needed = {number for _, number, _ in self._weights(target)}
            for number in needed - settled.keys():
                settled[number] = self._is_settled(number, step_mm, growing)
            if all(settled[number] for number in needed):
                found.append(self.slab(target))
        return found

    # -- geometry

    def _plane_of(self, position_mm: float) -> int:
        """The plane nearest to a position; the upper of two as near."""
        return math.floor(position_mm / self._shape.neighbour_mm + 0.5)

    def _slices_of(self, first: int, last: int) -> range:
        """Indices of the slices whose planes are these."""
        positions = self._stack.positions
        return range(
            bisect_left(positions, first, key=self._plane_of),
            bisect_left(positions, last + 1, key=self._plane_of),
        )

    def _inside(self, number: int) -> range:
        """Indices of the slices that a block holds."""
        first = number * self._shape.stride
        return self._slices_of(first, first + self._shape.planes - 1)

    def _needing(self, number: int) -> range:
        """Indices of the slices that a block may have a share in."""
        first = number * self._shape.stride
        return self._slices_of(first - 1, first + self._shape.planes)

    def _holding(self, plane: int) -> list[int]:
        """The blocks that hold a plane, the lower first, whether they exist or not."""
        upper, offset = divmod(plane, self._shape.stride)
        return [upper - 1, upper] if offset < self._shape.overlap else [upper]

    def _is_there(self, number: int) -> bool:
        if number not in self._exists:
            within = self._lowest <= number <= self._highest
            self._exists[number] = within and len(self._inside(number)) > 0
        return self._exists[number]

    def _weights(self, index: int) -> list[tuple[int, int, float]]:
        """Plane, block and weight of everything a slice's probability is summed from."""
        height = self._stack.positions[index] / self._shape.neighbour_mm
        below = math.floor(height)
        above_part = height - below
        parts = [
            (plane, part, self._mixture(plane))
            for plane, part in ((below, 1 - above_part), (below + 1, above_part))
            if part > 0
        ]
        parts = [entry for entry in parts if entry[2]]
        if len(parts) == 1:
            parts = [(parts[0][0], 1.0, parts[0][2])]
        return [
            (plane, number, part * weight)
            for plane, part, mixture in parts
            for number, weight in mixture
        ]

    def _mixture(self, plane: int) -> list[tuple[int, float]]:
        """The blocks whose answers on a plane are mixed, and how; weights sum to 1."""
        numbers = [number for number in self._holding(plane) if self._is_there(number)]
        if len(numbers) < 2:
            return [(number, 1.0) for number in numbers]
        lower, upper = numbers
        rise = (plane - upper * self._shape.stride + 1) / (self._shape.overlap + 1)
        return [(lower, 1 - rise), (upper, rise)]

    def _block(self, number: int) -> Block:
        if number not in self._blocks:
            first = number * self._shape.stride
            planes = range(first, first + self._shape.planes)
            self._blocks[number] = Block(tuple(self._slices_in(plane) for plane in planes))
        return self._blocks[number]

    def _slices_in(self, plane: int) -> tuple[str, ...]:
        found = self._slices_of(plane, plane)
        if found:
            return tuple(self._stack.ids[found.start : found.stop])
        nearest = self._stack.nearest(plane * self._shape.neighbour_mm)
        assert nearest is not None
        return (self._stack.ids[nearest],)

    # -- while slices arrive

    def _is_settled(self, number: int, step_mm: float, growing: int) -> bool:
        """True when slices cover a block without a gap.

        Beyond the end from which the scan grows away nothing more is expected.
        """
        inside, positions = self._inside(number), self._stack.positions
        if not inside:
            return False
        low, high = inside.start - 1, inside.stop
        if (low < 0 and growing <= 0) or (high == len(positions) and growing >= 0):
            return False
        covered = positions[max(low, 0) : high + 1]
        return all(above - below <= _GAP * step_mm for below, above in pairwise(covered))
