from __future__ import annotations

import struct

import pytest

from appliance.ingest import IngestLimits, SliceRefusedError
from appliance.ingest.gate import Gate
from appliance.scan.verdicts import RefusalReason
from tests.ingest import synthetic as dicom

ROWS_TAG = 0x00280010
UNDEFINED_SQ = struct.pack("<HH", 0x0008, 0x1140) + b"SQ\0\0" + dicom.UNDEFINED
UNKNOWN = struct.pack("<HH", 0x0009, 0x1001) + b"UN\0\0" + dicom.UNDEFINED
MODALITY = dicom.element(0x00080060, "CT")
OPEN_ITEM = dicom.ITEM + dicom.UNDEFINED
ROWS = dicom.element(ROWS_TAG, 7)


def gate_of(data: bytes, limits: IngestLimits | None = None, *, implicit: bool = False) -> Gate:
    return Gate(memoryview(data), limits or IngestLimits(), implicit=implicit, big_endian=False)


def defects_of(data: bytes, *, implicit: bool = False) -> set[str]:
    """What is found on the way to Rows, which must be found where it lies."""
    gate = gate_of(data, implicit=implicit)
    rows = data.rindex(b"\x28\x00\x10\x00")
    assert gate.pass_until(lambda tag: tag == ROWS_TAG) == rows
    return gate.defects


def refusal_of(data: bytes, limits: IngestLimits | None = None) -> RefusalReason:
    with pytest.raises(SliceRefusedError) as caught:
        gate_of(data, limits).pass_until(lambda tag: False)
    return caught.value.refusal.reason


def test_nested_sequences_are_stepped_over() -> None:
    inner = OPEN_ITEM + MODALITY + UNDEFINED_SQ + OPEN_ITEM + dicom.ITEM_END + dicom.SEQUENCE_END
    sequence = UNDEFINED_SQ + inner + dicom.ITEM_END + dicom.SEQUENCE_END
    assert defects_of(sequence + ROWS) == set()


def test_icon_with_compressed_pixels_inside_a_sequence() -> None:
    icon = OPEN_ITEM + dicom.encapsulated([b"abcd"]) + dicom.ITEM_END
    assert defects_of(UNDEFINED_SQ + icon + dicom.SEQUENCE_END + ROWS) == set()


@pytest.mark.parametrize("implicit", [False, True])
def test_unknown_vr_of_undefined_length_holds_items(implicit: bool) -> None:
    item = OPEN_ITEM + dicom.element(0x00080060, "CT", implicit=implicit) + dicom.ITEM_END
    assert defects_of(UNKNOWN + item + dicom.SEQUENCE_END + ROWS) == set()


def test_sequence_without_vr_is_known_by_its_tag() -> None:
    head = struct.pack("<HHL", 0x0008, 0x1140, 10)
    found = defects_of(head + b"notanitem " + ROWS[:4] + b"\2\0\0\0\7\0", implicit=True)
    assert found == {"a sequence is malformed"}


def test_private_items_without_vr_are_known_by_their_first() -> None:
    head = struct.pack("<HH", 0x0009, 0x1001) + dicom.UNDEFINED
    sequence = head + OPEN_ITEM + dicom.ITEM_END + dicom.SEQUENCE_END
    assert defects_of(sequence + ROWS[:4] + b"\2\0\0\0\7\0", implicit=True) == set()


def test_malformed_sequence_of_known_length_is_a_defect() -> None:
    found = defects_of(dicom.element(0x00081140, b"notanitem ") + ROWS)
    assert found == {"a sequence is malformed"}


def test_malformed_sequence_of_unknown_length_is_refused() -> None:
    assert refusal_of(UNDEFINED_SQ + b"notanitem " + ROWS) is RefusalReason.MALFORMED


def test_item_longer_than_its_sequence_is_refused() -> None:
    item = dicom.ITEM + struct.pack("<L", 4) + MODALITY
    assert refusal_of(UNDEFINED_SQ + item + dicom.SEQUENCE_END) is RefusalReason.MALFORMED


@pytest.mark.parametrize("kept", [1, 4, 9, len(ROWS) - 1])
def test_cut_element_is_truncated(kept: int) -> None:
    assert refusal_of(MODALITY + ROWS[:kept]) is RefusalReason.TRUNCATED


def test_stray_sequence_end_and_disorder_are_defects() -> None:
    gate = gate_of(ROWS + dicom.SEQUENCE_END + MODALITY)
    gate.pass_until(lambda tag: False)
    assert gate.defects == {
        "data elements are not in ascending order",
        "a sequence delimiter stands outside a sequence",
    }


def test_stray_item_end_is_refused_for_it_would_end_the_reading() -> None:
    assert refusal_of(MODALITY + dicom.ITEM_END + ROWS) is RefusalReason.MALFORMED


def test_element_without_vr_among_explicit_ones() -> None:
    found = defects_of(MODALITY + dicom.element(0x00080070, "GE", implicit=True) + ROWS)
    assert found == {"an element without VR in an explicit VR data set"}


@pytest.mark.parametrize("implicit", [False, True])
def test_what_the_first_element_shows_outweighs_what_is_said(implicit: bool) -> None:
    gate = gate_of(dicom.element(0x00080060, "CT", implicit=not implicit), implicit=implicit)
    assert gate.implicit is not implicit
    assert len(gate.defects) == 1


def test_fragments_without_end_mark_are_a_defect() -> None:
    data = dicom.encapsulated([b"ab"])[:-8]
    gate = gate_of(data)
    assert gate.pass_fragments(12) == len(data)
    assert gate.defects == {"the pixel data have no end mark"}


def test_fragments_end_behind_their_mark() -> None:
    data = dicom.encapsulated([b"ab", b"cdef"])
    assert gate_of(data + ROWS).pass_fragments(12) == len(data)


def test_cut_fragment_is_truncated() -> None:
    assert refusal_of(dicom.encapsulated([bytes(100)])[:-50]) is RefusalReason.TRUNCATED


def test_fragments_that_are_no_items_are_refused() -> None:
    data = dicom.encapsulated([b"ab"])[:12] + bytes(20)
    assert refusal_of(data) is RefusalReason.MALFORMED


def test_depth_at_the_limit_is_walked() -> None:
    def nested(depth: int) -> bytes:
        return (UNDEFINED_SQ + OPEN_ITEM) * depth + (dicom.ITEM_END + dicom.SEQUENCE_END) * depth

    limits = IngestLimits(max_sequence_depth=3)
    assert gate_of(nested(3), limits).pass_until(lambda tag: False) == len(nested(3))
    assert refusal_of(nested(4), limits) is RefusalReason.TOO_LARGE
