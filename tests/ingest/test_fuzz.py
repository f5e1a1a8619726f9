"""Whatever the bytes are: a slice or a refusal, nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.ingest import SliceRefusedError, peek_uids, read_dicom
from appliance.ingest.header import Tag
from appliance.ingest.limits import DEFAULT_LIMITS
from tests.ingest import codecs
from tests.ingest import synthetic as dicom

_STORED = dicom.stored_pixels(size=48)
_MATRIX = {Tag.ROWS: 48, Tag.COLUMNS: 48, 0x00081140: b"", 0x00091001: dicom.ITEM + bytes(4)}
_SEQUENCE = (
    b"\x08\x00\x40\x11SQ\0\0"
    + dicom.UNDEFINED
    + (dicom.ITEM + dicom.UNDEFINED + dicom.element(Tag.MODALITY, "CT") + dicom.ITEM_END)
    + dicom.SEQUENCE_END
)
_FILES = {
    "sequence": dicom.file_meta(dicom.EXPLICIT)
    + _SEQUENCE
    + dicom.ct_file(_MATRIX, stored=_STORED)[len(dicom.file_meta(dicom.EXPLICIT)) :],
    "explicit": dicom.ct_file(_MATRIX, stored=_STORED),
    "implicit": dicom.ct_file(_MATRIX, syntax=dicom.IMPLICIT, stored=_STORED),
    "big endian": dicom.ct_file(_MATRIX, syntax=dicom.BIG_ENDIAN, stored=_STORED),
    "deflated": dicom.ct_file(_MATRIX, syntax=dicom.DEFLATED, stored=_STORED),
    "RLE": dicom.ct_file(_MATRIX, syntax=dicom.RLE, pixels=[codecs.rle(_STORED)]),
    "JPEG": dicom.ct_file(
        _MATRIX, syntax=dicom.JPEG_LOSSLESS, pixels=[codecs.jpeg_lossless(_STORED)]
    ),
    "JPEG-LS": dicom.ct_file(_MATRIX, syntax=dicom.JPEG_LS, pixels=[codecs.jpeg_ls_frame(_STORED)]),
    "JPEG 2000": dicom.ct_file(
        _MATRIX, syntax=dicom.J2K_LOSSLESS, pixels=[codecs.jpeg_2000(_STORED)]
    ),
}
_HEADER_BYTES = 1100

#: What steers a reader: types, delimiters, an escape into another character set.
_TOKENS = (
    *(b"SQ", b"UN", b"OB", b"DS", b"US", b"FD", b"AT", b"PN", b"ZZ", b"U\0"),
    *(dicom.ITEM, dicom.ITEM_END, dicom.SEQUENCE_END, dicom.UNDEFINED),
    *(b"\x08\0\x05\0CS", b"\x1b$B", b"\xe0\x7f\x10\0OW\0\0"),
)

_edits = st.lists(
    st.tuples(
        st.sampled_from(("flip", "cut", "splice", "header")),
        st.integers(0, 2**31),
        st.one_of(st.binary(min_size=1, max_size=12), st.sampled_from(_TOKENS)),
    ),
    min_size=1,
    max_size=6,
)


def damage(data: bytes, edits: list[tuple[str, int, bytes]]) -> bytes:
    damaged = bytearray(data)
    for kind, number, piece in edits:
        place = number % max(len(damaged), 1)
        if kind == "header":
            place = number % max(min(len(damaged), _HEADER_BYTES), 1)
        if kind == "cut":
            del damaged[place:]
        elif kind == "splice":
            damaged[place:place] = piece
        else:
            damaged[place : place + len(piece)] = piece
    return bytes(damaged)


@pytest.mark.parametrize("name", _FILES)
@settings(max_examples=150, deadline=2000, suppress_health_check=[HealthCheck.too_slow])
@given(edits=_edits)
def test_damaged_file_is_read_or_refused(name: str, edits: list[tuple[str, int, bytes]]) -> None:
    data = damage(_FILES[name], edits)
    try:
        read = read_dicom(data)
    except SliceRefusedError:
        return
    geometry = read.header.geometry
    assert read.hu.shape == (geometry.rows, geometry.columns)
    assert geometry.rows <= DEFAULT_LIMITS.max_rows
    assert read.hu.dtype == np.int16
    assert read.hu.min() >= -1024


@settings(max_examples=200)
@given(data=st.binary(max_size=400), meta=st.booleans())
def test_any_bytes_are_refused(data: bytes, meta: bool) -> None:
    whole = dicom.file_meta(dicom.EXPLICIT) + data if meta else data
    with pytest.raises(SliceRefusedError):
        read_dicom(whole)


@settings(max_examples=200)
@given(edits=_edits)
def test_peeking_at_a_damaged_file(edits: list[tuple[str, int, bytes]]) -> None:
    try:
        uids = peek_uids(damage(_FILES["explicit"], edits))
    except SliceRefusedError:
        return
    assert all(len(uid) <= 64 for uid in uids)
