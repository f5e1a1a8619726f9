"""Where the pixels of an image lie on its coarse plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from appliance.inference.coarse import COARSE
from appliance.inference.planes import frame_of
from appliance.quantify.cells import Cells, Places, count_cells
from appliance.scan.geometry import SliceGeometry, to_standard
from appliance.scan.masks import decode_runs


@dataclass(frozen=True, slots=True)
class CoarseAxis:
    """Rows, or columns, of an image in the standard view against those of its coarse plane.

    Parameters
    ----------
    pixels
        How many there are of the image.
    fitted
        How many of the prepared plane show the image; the rest is padding, half on each
        side, the odd one first (:class:`engines.preprocess.Preparer`).
    size
        How many there are of the prepared plane.
    """

    pixels: int
    fitted: int
    size: int

    @property
    def _before(self) -> int:
        return (self.size - self.fitted + 1) // 2

    @property
    def cells(self) -> Places:
        """For each pixel of the image the cell at its middle."""
        middles = (np.arange(self.pixels) + 0.5) * self.fitted / self.pixels + self._before
        cells: Places = np.floor(middles * COARSE / self.size).astype(np.intp)
        return cells

    @property
    def nearest(self) -> Places:
        """For each cell the pixel of the image at its middle; -1 in the padding."""
        middles = (np.arange(COARSE) + 0.5) * self.size / COARSE - self._before
        pixels: Places = np.floor(middles * self.pixels / self.fitted).astype(np.intp)
        return np.where((pixels >= 0) & (pixels < self.pixels), pixels, -1)


class CoarseGrid:
    """The pixels of a coarse plane as cells of an image's own grid.

    Parameters
    ----------
    geometry
        Of the image.
    size
        Rows and columns of its prepared plane.
    """

    def __init__(self, geometry: SliceGeometry, size: tuple[int, int]) -> None:
        frame = frame_of(geometry)
        fitted = frame.fitted(size)
        axes = (
            CoarseAxis(frame.rows, fitted[0], size[0]),
            CoarseAxis(frame.columns, fitted[1], size[1]),
        )
        self._geometry = geometry
        self._nearest_rows, self._nearest_columns = (axis.nearest for axis in axes)
        self._padding = (self._nearest_rows < 0)[:, None] | (self._nearest_columns < 0)
        #: Distance between the rows, and the columns, of the coarse plane, mm.
        self.pixel_mm = (
            frame.rows * frame.row_mm / fitted[0] * size[0] / COARSE,
            frame.columns * frame.column_mm / fitted[1] * size[1] / COARSE,
        )
        # As the image was sent; along an axis that lies reversed, cells are counted backwards.
        cells = [
            COARSE - 1 - axis.cells[::-1] if flip else axis.cells
            for axis, flip in zip(axes, geometry.flips, strict=True)
        ]
        self._rows, self._columns = reversed(cells) if geometry.transposed else cells

    def count(self, runs: Sequence[int] | npt.NDArray[np.integer]) -> Cells:
        """Pixels of a mask in each pixel of the coarse plane, standard view."""
        counted = count_cells(runs, self._rows, self._columns, COARSE)
        return to_standard(counted, self._geometry).astype(np.int32, copy=False)

    def sample(self, runs: Sequence[int] | npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
        """A mask at the middles of the coarse plane's pixels, standard view."""
        drawn = decode_runs(runs, self._geometry.rows, self._geometry.columns)
        rows = np.take(to_standard(drawn, self._geometry), self._nearest_rows, 0)
        sampled = np.take(rows, self._nearest_columns, 1).astype(np.bool_, copy=False)
        sampled[self._padding] = False
        return sampled
