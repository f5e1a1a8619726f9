"""Bombs: small files that ask for much are refused fast and with little memory."""

from __future__ import annotations

import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable

import pytest

from appliance.ingest import IngestLimits, SliceRefusedError, read_dicom
from appliance.ingest.header import Tag
from appliance.scan.verdicts import RefusalReason
from tests.ingest import codecs
from tests.ingest import synthetic as dicom

SEQUENCE_HEAD = struct.pack("<HH", 0x0008, 0x1140) + b"SQ\0\0" + dicom.UNDEFINED
MIB = 1024 * 1024


def deflate_bomb() -> bytes:
    deflater = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    body = b"".join(deflater.compress(bytes(MIB)) for _ in range(64)) + deflater.flush()
    return dicom.file_meta(dicom.DEFLATED) + body


def deep_sequences() -> bytes:
    level = SEQUENCE_HEAD + dicom.ITEM + dicom.UNDEFINED
    return dicom.file_meta(dicom.EXPLICIT) + level * 200_000


def deep_sequences_of_known_length() -> bytes:
    body = b""
    for _ in range(100):
        item = dicom.ITEM + struct.pack("<L", len(body)) + body
        head = struct.pack("<HH", 0x0008, 0x1140) + b"SQ\0\0"
        body = head + struct.pack("<L", len(item)) + item
    return dicom.file_meta(dicom.EXPLICIT) + body


def deep_sequences_without_vr() -> bytes:
    level = struct.pack("<HH", 0x0008, 0x1140) + dicom.UNDEFINED + dicom.ITEM + dicom.UNDEFINED
    return dicom.file_meta(dicom.IMPLICIT) + level * 200_000


def many_elements() -> bytes:
    return dicom.file_meta(dicom.EXPLICIT) + dicom.element(0x00102000, "") * 200_000


def long_character_set() -> bytes:
    return dicom.ct_file({0x00080005: "\\A" * 30_000})


def many_character_sets() -> bytes:
    element = dicom.element(0x00080005, "\\A" * 32)
    return dicom.file_meta(dicom.EXPLICIT) + element * 9000 + dicom.data_set()


def character_sets_in_items() -> bytes:
    item = dicom.ITEM + dicom.UNDEFINED + dicom.element(0x00080005, "\\A" * 60) + dicom.ITEM_END
    sequence = SEQUENCE_HEAD + item * 3000 + dicom.SEQUENCE_END
    return dicom.file_meta(dicom.EXPLICIT) + sequence + dicom.data_set()


def character_set_of_unknown_length() -> bytes:
    head = struct.pack("<HH", 0x0008, 0x0005) + dicom.UNDEFINED
    value = dicom.ITEM + struct.pack("<L", 2 * MIB) + b"\\A" * MIB
    body = dicom.data_set(syntax=dicom.IMPLICIT)
    return dicom.file_meta(dicom.IMPLICIT) + head + value + dicom.SEQUENCE_END + body


def many_fragments() -> bytes:
    return dicom.ct_file(syntax=dicom.RLE, pixels=[b"ab"] * 100_000)


def huge_length() -> bytes:
    head = struct.pack("<HH", 0x0009, 0x1001) + b"UN\0\0" + struct.pack("<L", 0xFFFFFFF0)
    return dicom.file_meta(dicom.EXPLICIT) + head + b"ab"


def endless_meta() -> bytes:
    return bytes(128) + b"DICM" + (b"\x02\x00\x01\x00UI\x00\x00" * 200_000)


def huge_codestream() -> bytes:
    frame = bytearray(codecs.jpeg_2000(dicom.stored_pixels(size=64)))
    frame[8:16] = struct.pack(">LL", 60_000, 60_000)
    return dicom.ct_file(syntax=dicom.J2K_LOSSLESS, pixels=[bytes(frame)])


def huge_jpeg() -> bytes:
    frame = bytearray(codecs.jpeg_lossless(dicom.stored_pixels(size=64)))
    frame[7:11] = struct.pack(">HH", 65_535, 65_535)
    return dicom.ct_file(syntax=dicom.JPEG_LOSSLESS, pixels=[bytes(frame)])


BOMBS: dict[str, tuple[Callable[[], bytes], RefusalReason]] = {
    "rows": (
        lambda: dicom.ct_file({Tag.ROWS: 65535, Tag.COLUMNS: 65535}),
        RefusalReason.TOO_LARGE,
    ),
    "RLE rows": (
        lambda: dicom.ct_file(
            {Tag.ROWS: 65535, Tag.COLUMNS: 65535}, syntax=dicom.RLE, pixels=[bytes(64)]
        ),
        RefusalReason.TOO_LARGE,
    ),
    "deflate": (deflate_bomb, RefusalReason.TOO_LARGE),
    "deep sequences": (deep_sequences, RefusalReason.TOO_LARGE),
    "deep known length": (deep_sequences_of_known_length, RefusalReason.TOO_LARGE),
    "deep implicit": (deep_sequences_without_vr, RefusalReason.TOO_LARGE),
    "elements": (many_elements, RefusalReason.TOO_LARGE),
    "character set": (long_character_set, RefusalReason.TOO_LARGE),
    "character sets": (many_character_sets, RefusalReason.TOO_LARGE),
    "character sets in items": (character_sets_in_items, RefusalReason.TOO_LARGE),
    "character set without end": (character_set_of_unknown_length, RefusalReason.TOO_LARGE),
    "fragments": (many_fragments, RefusalReason.TOO_LARGE),
    "length": (huge_length, RefusalReason.TRUNCATED),
    "meta": (endless_meta, RefusalReason.TOO_LARGE),
    "J2K size": (huge_codestream, RefusalReason.UNDECODABLE),
    "JPEG size": (huge_jpeg, RefusalReason.UNDECODABLE),
    "message": (lambda: bytes(64 * MIB + 1), RefusalReason.TOO_LARGE),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bomb_is_refused_cheaply(name: str) -> None:
    make, reason = BOMBS[name]
    data = make()
    started = time.process_time()
    with pytest.raises(SliceRefusedError) as caught:
        read_dicom(data)
    seconds = time.process_time() - started
    tracemalloc.start()
    with pytest.raises(SliceRefusedError):
        read_dicom(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.refusal.reason is reason
    # 50 ms on an idle box; the bound leaves room for a loaded one.
    assert seconds < 0.25
    assert peak < 2 * len(data) + 64 * MIB


def test_rows_at_the_limit_are_read() -> None:
    limits = IngestLimits(max_rows=dicom.SIZE, max_columns=dicom.SIZE)
    assert read_dicom(dicom.ct_file(), limits).hu.shape == (dicom.SIZE, dicom.SIZE)


@pytest.mark.parametrize("limit", ["max_rows", "max_columns", "max_bytes", "max_elements"])
def test_each_size_limit_refuses_beyond_it(limit: str) -> None:
    limits = IngestLimits(**{limit: 20})
    with pytest.raises(SliceRefusedError) as caught:
        read_dicom(dicom.ct_file(), limits)
    assert caught.value.refusal.reason is RefusalReason.TOO_LARGE
