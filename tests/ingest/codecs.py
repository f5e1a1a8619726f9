"""Compressed frames for tests, made by other code than that which reads them."""

from __future__ import annotations

import struct

import imagecodecs
import jpeg_ls
import numpy as np
import numpy.typing as npt
from openjpeg.utils import encode_array
from rle.utils import encode_pixel_data

Plane = npt.NDArray[np.int16] | npt.NDArray[np.uint16]


def rle(plane: Plane) -> bytes:
    return bytes(
        encode_pixel_data(
            plane.tobytes(),
            rows=plane.shape[0],
            columns=plane.shape[1],
            samples_per_pixel=1,
            bits_allocated=16,
            byteorder="<",
        )
    )


def jpeg_ls_frame(plane: Plane, lossy_error: int = 0) -> bytes:
    return bytes(jpeg_ls.encode_array(plane.view(np.uint16), lossy_error=lossy_error))


def jpeg_2000(plane: Plane, bits: int = 16, ratio: float | None = None) -> bytes:
    ratios = None if ratio is None else [ratio]
    return bytes(encode_array(plane, bits_stored=bits, compression_ratios=ratios))


def htj2k(plane: Plane) -> bytes:
    """Lossless high-throughput JPEG 2000 by OpenJPH, another library than the one that reads."""
    return bytes(imagecodecs.htj2k_encode(plane, reversible=True))


def jpeg_lossless(plane: Plane, precision: int = 16) -> bytes:
    """JPEG Lossless SV1 (ITU-T T.81 annex H): predictor 1, all 17 codes five bits long."""
    words = plane.view(np.uint16).astype(np.int64) & ((1 << precision) - 1)
    before = np.roll(words, 1, axis=1)
    before[1:, 0] = words[:-1, 0]
    before[0, 0] = 1 << (precision - 1)
    difference = (words - before + 32768) % 65536 - 32768
    rows, columns = plane.shape
    return (
        b"\xff\xd8\xff\xc3"
        + struct.pack(">HBHHB", 11, precision, rows, columns, 1)
        + b"\x01\x11\x00\xff\xc4"
        + struct.pack(">HB", 36, 0)
        + bytes((0, 0, 0, 0, 17, *[0] * 11))
        + bytes(range(17))
        + b"\xff\xda\x00\x08\x01\x01\x00\x01\x00\x00"
        + _entropy_coded(difference.ravel().tolist())
        + b"\xff\xd9"
    )


def _entropy_coded(differences: list[int]) -> bytes:
    bits = "".join(_code(difference) for difference in differences)
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8).replace(b"\xff", b"\xff\x00")


def _code(difference: int) -> str:
    if difference == -32768:
        return f"{16:05b}"
    category = abs(difference).bit_length()
    if category == 0:
        return "00000"
    extra = difference if difference > 0 else difference + (1 << category) - 1
    return f"{category:05b}{extra:0{category}b}"
