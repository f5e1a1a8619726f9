"""The run-length form of a binary mask, as `breathhold.v1.SliceMask` describes it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def encode_runs(mask: npt.NDArray[np.bool_]) -> list[int]:
    """Run lengths of a mask, alternating 0 and 1 pixels, beginning with 0.

    Parameters
    ----------
    mask
        Shape (rows, columns).

    Returns
    -------
    Row-major run lengths without the last run of 0; empty for an empty mask.
    """
    flat = np.ascontiguousarray(mask, dtype=np.bool_).ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    starts_set = bool(flat.size and flat[0])
    bounds = np.concatenate(([0, 0] if starts_set else [0], edges))
    if flat.size and flat[-1]:
        bounds = np.append(bounds, flat.size)
    runs: list[int] = np.diff(bounds).tolist()
    return runs


def decode_runs(
    runs: Sequence[int] | npt.NDArray[np.integer], rows: int, columns: int
) -> npt.NDArray[np.bool_]:
    """The mask of run lengths, shape (rows, columns).

    Raises
    ------
    ValueError
        When a run is negative or the runs are longer than the image, whatever their numbers are.
    """
    given = np.asarray(runs)
    size = rows * columns
    # Each run is looked at before their sum, which would wrap around.
    if given.size and (given.min() < 0 or given.max() > size or given.sum() > size):
        raise ValueError(f"runs do not fit an image of {rows} x {columns} pixels")
    lengths = np.append(given.astype(np.int64), size - int(given.sum()))
    values = np.arange(lengths.size) % 2 == 1
    values[-1] = False
    return np.repeat(values, lengths).reshape(rows, columns)
