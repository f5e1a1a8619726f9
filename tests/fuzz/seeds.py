"""What fuzzing starts from: phantom slices in every transfer syntax, real ones where present."""

from __future__ import annotations

import os
import struct
import tempfile
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from appliance.ingest.syntaxes import Codec
from appliance.ingest.tags import Tag
from calibration.phantom import make_phantom, write_dicom_series
from tests.ingest import codecs
from tests.ingest import synthetic as dicom

SIZE = 48
PHANTOM = Path(__file__).resolve().parents[2] / "build" / "fuzz-phantom"
_SHARED = Path(os.environ.get("BREATHHOLD_SHARED", Path(__file__).resolve().parents[3] / "shared"))
_MATRIX: dicom.Changes = {
    Tag.ROWS: SIZE,
    Tag.COLUMNS: SIZE,
    0x00081140: b"",
    0x00091001: dicom.ITEM + bytes(4),
}
_SEQUENCE = (
    struct.pack("<HH", 0x0008, 0x1140)
    + b"SQ\0\0"
    + dicom.UNDEFINED
    + (dicom.ITEM + dicom.UNDEFINED + dicom.element(Tag.MODALITY, "CT") + dicom.ITEM_END)
    + dicom.SEQUENCE_END
)

Plane = npt.NDArray[np.int16]


def _frames(plane: Plane) -> dict[str, tuple[Codec, bytes]]:
    """A frame by the syntax it may come in."""
    jpeg, jpeg_2000 = codecs.jpeg_lossless(plane), codecs.jpeg_2000(plane)
    jpeg_ls, htj2k = codecs.jpeg_ls_frame(plane), codecs.htj2k(plane.view(np.uint16))
    return {
        dicom.RLE: (Codec.RLE, codecs.rle(plane)),
        dicom.JPEG_LOSSLESS: (Codec.JPEG, jpeg),
        dicom.JPEG_LOSSLESS_SV1: (Codec.JPEG, jpeg),
        dicom.JPEG_LS: (Codec.JPEG_LS, jpeg_ls),
        dicom.JPEG_LS_NEAR: (Codec.JPEG_LS, codecs.jpeg_ls_frame(plane, lossy_error=2)),
        dicom.J2K_LOSSLESS: (Codec.JPEG_2000, jpeg_2000),
        dicom.J2K: (Codec.JPEG_2000, codecs.jpeg_2000(plane, ratio=8.0)),
        dicom.HTJ2K_LOSSLESS: (Codec.JPEG_2000, htj2k),
    }


@cache
def frames() -> tuple[tuple[Codec, bytes], ...]:
    """Each codec's frames of one small plane."""
    return tuple(dict.fromkeys(_frames(dicom.stored_pixels(size=SIZE)).values()))


@cache
def slices() -> dict[str, bytes]:
    """A small slice in every transfer syntax that the tests can write."""
    plane = dicom.stored_pixels(size=SIZE)
    meta = dicom.file_meta(dicom.EXPLICIT)
    written = {
        syntax: dicom.ct_file(_MATRIX, syntax=syntax, stored=plane)
        for syntax in (dicom.EXPLICIT, dicom.IMPLICIT, dicom.BIG_ENDIAN, dicom.DEFLATED)
    }
    written["sequence"] = meta + _SEQUENCE + written[dicom.EXPLICIT][len(meta) :]
    for syntax, (_, frame) in _frames(plane).items():
        written[syntax] = dicom.ct_file(_MATRIX, syntax=syntax, pixels=[frame])
    return written


def write_phantom() -> None:
    """Write slices of the phantom, of a small matrix to be quick, where there are none yet."""
    if PHANTOM.is_dir():
        return
    PHANTOM.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=PHANTOM.parent) as folder:
        write_dicom_series(make_phantom(3, section="thick", slices=12, matrix=SIZE), Path(folder))
        Path(folder).rename(PHANTOM)
        Path(folder).mkdir()  # for its own removal


def phantom_slices() -> list[bytes]:
    """Some slices of the phantom; none before :func:`write_phantom`, which takes a minute."""
    return [path.read_bytes() for path in sorted(PHANTOM.glob("*.dcm"))[3:9:3]]


def real_slices() -> list[Path]:
    """Real files, read where they lie: a few of each folder, all of the odd ones."""
    folder = _SHARED / "ct" / "dicom"
    if not folder.is_dir():
        return []
    return [path for place in sorted(folder.iterdir()) if place.is_dir() for path in _few(place)]


def _few(place: Path) -> Iterator[Path]:
    found = sorted(path for path in place.rglob("*") if path.is_file())
    yield from found if place.name in ("odd", "syntaxes") else found[:2]


def deflated(body: bytes) -> bytes:
    deflater = zlib.compressobj(1, wbits=-zlib.MAX_WBITS)
    return dicom.file_meta(dicom.DEFLATED) + deflater.compress(body) + deflater.flush()
