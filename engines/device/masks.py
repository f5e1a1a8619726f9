"""Masks made on the device, so that one bit a pixel comes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from engines.device.base import ComputeDevice
from engines.preprocess import Frame, Mask, image_part

_WORD_BITS = 32
_WORD_BYTES = 4
_FLOAT_BYTES = 4

#: struct Restoration
_RESTORATION = np.dtype(
    [
        ("plane", "u8"),
        ("bits", "u8"),
        ("within", "u8"),
        ("stride", "i4"),
        ("fitted_rows", "i4"),
        ("fitted_columns", "i4"),
        ("rows", "i4"),
        ("columns", "i4"),
        ("threshold", "f4"),
    ],
    align=True,
)


@dataclass(frozen=True, slots=True)
class BitLayout:
    """Where the bits of some masks lie in one piece of memory, each from a word on.

    Parameters
    ----------
    frames
        The masks' grids.
    starts
        The first byte of each.
    size
        Bytes of them all.
    """

    frames: tuple[Frame, ...]
    starts: tuple[int, ...]
    size: int

    @classmethod
    def of(cls, frames: Sequence[Frame]) -> BitLayout:
        """Masks one behind the other."""
        sizes = [-(-_pixels(frame) // _WORD_BITS) * _WORD_BYTES for frame in frames]
        ends = list(accumulate(sizes, initial=0))
        return cls(tuple(frames), tuple(ends[:-1]), ends[-1])

    def mask(self, bits: npt.NDArray[np.uint8], place: int) -> Mask:
        """A mask out of all bits, shape (rows, columns)."""
        frame = self.frames[place]
        start, pixels = self.starts[place], _pixels(frame)
        found = np.unpackbits(bits[start:], count=pixels, bitorder="little")
        return found.view(np.bool_).reshape(frame.rows, frame.columns)

    def any(self, bits: npt.NDArray[np.uint8], place: int) -> bool:
        """Whether a mask has a pixel."""
        ends = (*self.starts[1:], self.size)
        return bool(bits[self.starts[place] : ends[place]].any())


@dataclass(frozen=True, slots=True)
class Restoring:
    """A probability that lies on the device, and the mask that it becomes.

    Parameters
    ----------
    probability
        Its address: float32 on the network's grid, contiguous.
    frame
        The mask's grid.
    bits
        Address of the mask's bits.
    within
        Address of the bits of a mask that it lies inside of, or 0.
    """

    probability: int
    frame: Frame
    bits: int
    within: int = 0


def restore(
    device: ComputeDevice, items: Sequence[Restoring], size: tuple[int, int], threshold: float
) -> None:
    """Resample probabilities to their slices' own grids and keep one bit a pixel.

    What :class:`engines.preprocess.Restorer` does, and with the same filter.

    Parameters
    ----------
    device
        Where they lie.
    items
        Which.
    size
        Rows and columns of the network's grid.
    threshold
        Probability from which a pixel belongs to the mask.
    """
    rows = []
    for item in items:
        frame, part = item.frame, image_part(size, item.frame)
        origin = part.top * size[1] + part.left
        plane = item.probability + origin * _FLOAT_BYTES
        fitted = (size[1], part.rows, part.columns)
        rows.append((plane, item.bits, item.within, *fitted, frame.rows, frame.columns, threshold))
    most = max(_pixels(item.frame) for item in items)
    device.launch("restore", (np.array(rows, _RESTORATION),), most, len(rows))


def _pixels(frame: Frame) -> int:
    return frame.rows * frame.columns
