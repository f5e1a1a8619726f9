"""Masks of the wire as pixels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from appliance.scan.masks import decode_runs
from breathhold.v1 import types_pb2


def mask_plane(mask: types_pb2.SliceMask) -> npt.NDArray[np.bool_]:
    """The pixels of a mask, shape (rows, columns), on the grid of the slice as it was sent.

    Raises
    ------
    ValueError
        When the runs are longer than the slice.
    """
    return decode_runs(mask.runs, mask.rows, mask.columns)
