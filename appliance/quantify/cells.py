"""Pixels of a mask in each cell of a coarser grid, counted from its run lengths alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Cells = npt.NDArray[np.int32]
#: For each row, or column, of an image the cell it lies in; never falling.
Places = npt.NDArray[np.intp]


def count_cells(
    runs: Sequence[int] | npt.NDArray[np.integer], rows: Places, columns: Places, cells: int
) -> Cells:
    """Pixels of a mask in each cell.

    Parameters
    ----------
    runs
        As :func:`appliance.scan.masks.encode_runs` gives them.
    rows, columns
        Shape (rows of the image,) and (columns of the image,), values below `cells`.
    cells
        Along each axis.

    Returns
    -------
    Shape (cells, cells).
    """
    counted: Cells = np.zeros((cells, cells), np.int32)
    row, first, last = _segments(np.asarray(runs, np.int64), len(columns))
    if not row.size:
        return counted
    edges = np.searchsorted(columns, np.arange(cells + 1))
    line, begin, end = rows[row], columns[first], columns[last]
    box = slice(line[0], line[-1] + 1), slice(begin.min(), end.max() + 1)
    height, width = (int(part.stop - part.start) for part in box)
    line, left, right = line - box[0].start, begin - box[1].start, end - box[1].start
    shape = (height, width + 1)
    begins, ends = _at(shape, line, left), _at(shape, line, right + 1)
    covered = np.cumsum(begins - ends, axis=1, dtype=np.int32)[:, :width]
    cut_off = _at(shape, line, left, first - edges[begin])
    cut_off += _at(shape, line, right, edges[end + 1] - 1 - last)
    widths = np.diff(edges).astype(np.int32)[box[1]]
    counted[box] = covered * widths - cut_off[:, :width]
    return counted


def _segments(
    runs: npt.NDArray[np.int64], width: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Row, first and last column of what is set, each piece in one row."""
    bounds = np.cumsum(runs)
    begin, end = bounds[: len(runs) // 2 * 2 : 2], bounds[1::2]
    begin, end = begin[end > begin], end[end > begin]
    first_row, last_row = begin // width, (end - 1) // width
    pieces = last_row - first_row + 1
    run = np.repeat(np.arange(len(begin)), pieces)
    row = np.arange(len(run)) - np.repeat(np.cumsum(pieces) - pieces, pieces) + first_row[run]
    first = np.maximum(begin[run] - row * width, 0)
    last = np.minimum(end[run] - row * width, width) - 1
    return row, first, last


def _at(
    shape: tuple[int, int],
    row: npt.NDArray[np.intp],
    column: npt.NDArray[np.intp],
    values: npt.NDArray[np.int64] | None = None,
) -> Cells:
    """The sum of values, or how many there are, at each place of a grid."""
    places = row * shape[1] + column
    return np.bincount(places, values, shape[0] * shape[1]).astype(np.int32).reshape(shape)
