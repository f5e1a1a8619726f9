"""Masks of the wire as pixels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from breathhold.v1 import types_pb2


def mask_plane(mask: types_pb2.SliceMask) -> npt.NDArray[np.bool_]:
    """The pixels of a mask, shape (rows, columns), on the grid of the slice as it was sent.

    Raises
    ------
    ValueError
        When the runs are longer than the slice.
    """
    runs = np.asarray(mask.runs, dtype=np.int64)
    pixels = np.zeros(mask.rows * mask.columns, dtype=np.bool_)
    if runs.sum() > pixels.size:
        raise ValueError(f"{runs.sum()} pixels of mask for a slice of {pixels.size}")
    told = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    pixels[: told.size] = told
    return pixels.reshape(mask.rows, mask.columns)
