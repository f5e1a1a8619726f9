"""The digest by which two slices are told to be the same image."""

from __future__ import annotations

import hashlib
import struct

import numpy as np
import numpy.typing as npt

from appliance.scan.geometry import SliceGeometry

_DIGEST_BYTES = 16


def digest_slice(hu: npt.NDArray[np.int16], geometry: SliceGeometry) -> bytes:
    """16 bytes of BLAKE2b over geometry, matrix and HU.

    Parameters
    ----------
    hu
        int16, shape (rows, columns), C-contiguous.
    geometry
        Of the slice.
    """
    signed = (*geometry.position, *geometry.orientation, *geometry.spacing)
    numbers = (number + 0.0 for number in signed)  # -0.0 becomes 0.0
    hasher = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    hasher.update(struct.pack("<11d2L", *numbers, geometry.rows, geometry.columns))
    hasher.update(np.ascontiguousarray(hu, "<i2").data)
    return hasher.digest()
