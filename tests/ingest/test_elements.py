from __future__ import annotations

import struct

import pytest

from appliance.ingest import IngestLimits, SliceRefusedError
from appliance.ingest.elements import Elements, walk
from appliance.scan.verdicts import RefusalReason
from tests.ingest import synthetic as dicom

UNDEFINED_SQ = struct.pack("<HH", 0x0008, 0x1140) + b"SQ\0\0" + dicom.UNDEFINED
MODALITY = dicom.element(0x00080060, "CT")
OPEN_ITEM = dicom.ITEM + dicom.UNDEFINED
ROWS = dicom.element(0x00280010, 7)


def walked(data: bytes, *, implicit: bool = False, limits: IngestLimits | None = None) -> Elements:
    return walk(
        memoryview(data), implicit=implicit, big_endian=False, limits=limits or IngestLimits()
    )


def refusal_of(data: bytes) -> RefusalReason:
    with pytest.raises(SliceRefusedError) as caught:
        walked(data)
    return caught.value.refusal.reason


def rows_after(sequence: bytes) -> Elements:
    found = walked(sequence + ROWS)
    assert bytes(found.values[0x00280010]) == b"\x07\x00"
    return found


def test_values_are_views_into_the_file() -> None:
    data = bytearray(MODALITY)
    found = walk(memoryview(data), implicit=False, big_endian=False, limits=IngestLimits())
    data[-1] = ord("R")
    assert bytes(found.values[0x00080060]) == b"CR"


def test_nested_sequences_are_stepped_over() -> None:
    inner = OPEN_ITEM + MODALITY + UNDEFINED_SQ + OPEN_ITEM + dicom.ITEM_END + dicom.SEQUENCE_END
    found = rows_after(UNDEFINED_SQ + inner + dicom.ITEM_END + dicom.SEQUENCE_END)
    assert found.sequences == {0x00081140}
    assert found.defects == set()
    assert 0x00080060 not in found.values


def test_icon_with_compressed_pixels_inside_a_sequence() -> None:
    icon = OPEN_ITEM + dicom.encapsulated([b"abcd"]) + dicom.ITEM_END
    found = rows_after(UNDEFINED_SQ + icon + dicom.SEQUENCE_END)
    assert found.pixels is None
    assert found.defects == set()


def test_unknown_vr_of_undefined_length_holds_implicit_items() -> None:
    unknown = struct.pack("<HH", 0x0009, 0x1001) + b"UN\0\0" + dicom.UNDEFINED
    item = OPEN_ITEM + dicom.element(0x00080060, "CT", implicit=True) + dicom.ITEM_END
    assert rows_after(unknown + item + dicom.SEQUENCE_END).defects == set()


def test_malformed_sequence_of_known_length_is_a_defect() -> None:
    found = rows_after(dicom.element(0x00081140, b"notanitem "))
    assert found.defects == {"malformed sequence: something stands where an item should begin"}


def test_malformed_sequence_of_unknown_length_is_refused() -> None:
    assert refusal_of(UNDEFINED_SQ + b"notanitem " + ROWS) is RefusalReason.MALFORMED


@pytest.mark.parametrize("kept", [4, 9, len(ROWS) - 1])
def test_cut_element_is_truncated(kept: int) -> None:
    assert refusal_of(MODALITY + ROWS[:kept]) is RefusalReason.TRUNCATED


def test_stray_delimiter_and_disorder_are_defects() -> None:
    found = walked(ROWS + dicom.SEQUENCE_END + MODALITY)
    assert found.defects == {
        "data elements are not in ascending order",
        "a sequence delimiter stands outside a sequence",
    }


def test_element_without_vr_among_explicit_ones() -> None:
    found = walked(dicom.element(0x00080060, "CT", implicit=True) + ROWS)
    assert bytes(found.values[0x00080060]) == b"CT"
    assert found.defects == {"an element without VR in an explicit VR data set"}


def test_fragments_leave_out_the_offset_table() -> None:
    pixels = walked(dicom.encapsulated([b"ab", b"cdef"])).pixels
    assert pixels is not None
    assert pixels.encapsulated
    assert [bytes(fragment) for fragment in pixels.fragments] == [b"ab", b"cdef"]


def test_fragments_without_end_mark_are_a_defect() -> None:
    found = walked(dicom.encapsulated([b"ab"])[:-8])
    assert found.pixels is not None
    assert found.defects == {"the pixel data have no end mark"}


def test_cut_fragment_is_truncated() -> None:
    assert refusal_of(dicom.encapsulated([bytes(100)])[:-50]) is RefusalReason.TRUNCATED


def test_depth_at_the_limit_is_walked() -> None:
    def nested(depth: int) -> bytes:
        return (UNDEFINED_SQ + OPEN_ITEM) * depth + (dicom.ITEM_END + dicom.SEQUENCE_END) * depth

    limits = IngestLimits(max_sequence_depth=3)
    assert walked(nested(3), limits=limits).sequences == {0x00081140}
    with pytest.raises(SliceRefusedError) as caught:
        walked(nested(4), limits=limits)
    assert caught.value.refusal.reason is RefusalReason.TOO_LARGE
