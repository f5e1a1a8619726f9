from __future__ import annotations

import pytest

from appliance.ingest import DEFAULT_LIMITS, IngestLimits
from appliance.ingest.header import Header, MalformedValueError, Tag, is_uid
from appliance.ingest.part10 import open_part10
from tests.ingest import synthetic as dicom


def header(changes: dicom.Changes, *, limits: IngestLimits = DEFAULT_LIMITS) -> Header:
    return Header(open_part10(dicom.ct_file(changes), limits))


def test_texts_are_stripped_and_split() -> None:
    read = header({Tag.IMAGE_TYPE: "ORIGINAL \\PRIMARY\\\\AXIAL "})
    assert read.texts(Tag.IMAGE_TYPE) == ("ORIGINAL", "PRIMARY", "", "AXIAL")
    assert read.texts(Tag.MANUFACTURER) == ()
    assert read.text(Tag.MANUFACTURER) == ""


def test_oversized_value_is_not_read() -> None:
    read = header({Tag.CONVOLUTION_KERNEL: "A" * 200}, limits=IngestLimits(max_value_bytes=100))
    assert read.text(Tag.CONVOLUTION_KERNEL) == ""


@pytest.mark.parametrize("text", ["1.5", "+1.5", " 1.5", "15e-1", "1.5E0"])
def test_decimal(text: str) -> None:
    assert header({Tag.SLICE_THICKNESS: text}).decimal(Tag.SLICE_THICKNESS) == 1.5


@pytest.mark.parametrize("text", ["nan", "inf", "1,5", "1_0", "0x10", "thin", "1e999", "--1"])
def test_what_is_no_decimal(text: str) -> None:
    with pytest.raises(MalformedValueError):
        header({Tag.SLICE_THICKNESS: text}).decimal(Tag.SLICE_THICKNESS)


def test_integer_is_one_number() -> None:
    assert header({Tag.ROWS: b"\x00\x02"}).integer(Tag.ROWS) == 512
    assert header({Tag.ROWS: b""}).integer(Tag.ROWS) is None
    for several in (b"123", b"\x00\x02\x00\x02"):
        with pytest.raises(MalformedValueError):
            header({Tag.ROWS: several}).integer(Tag.ROWS)


def test_stored_values_follow_the_pixel_representation() -> None:
    padding = {Tag.PIXEL_PADDING_VALUE: b"\x30\xf8"}
    assert header(padding).stored_value(Tag.PIXEL_PADDING_VALUE) == -2000
    unsigned = header({**padding, Tag.PIXEL_REPRESENTATION: 0})
    assert unsigned.stored_value(Tag.PIXEL_PADDING_VALUE) == 63536


@pytest.mark.parametrize("representation", [0, 1])
def test_stored_values_whatever_the_file_calls_them(representation: int) -> None:
    changes = {Tag.PIXEL_PADDING_VALUE: b"\x30\xf8", Tag.PIXEL_REPRESENTATION: representation}
    explicit = dicom.ct_file(changes)
    files = (
        explicit,
        explicit.replace(b"\x28\x00\x20\x01US", b"\x28\x00\x20\x01SS"),
        dicom.ct_file(changes, syntax=dicom.IMPLICIT),
    )
    for file in files:
        read = Header(open_part10(file, DEFAULT_LIMITS))
        assert read.stored_value(Tag.PIXEL_PADDING_VALUE) == (-2000 if representation else 63536)


@pytest.mark.parametrize("uid", ["", "1.2.3", "abc-DEF_1", "f" * 64])
def test_uids_that_are_safe_to_pass_on(uid: str) -> None:
    assert header({Tag.SERIES_INSTANCE_UID: uid}).uid(Tag.SERIES_INSTANCE_UID) == uid


@pytest.mark.parametrize("uid", ["../x", "a b", "f" * 65, "1.2\n3"])
def test_uids_that_are_not(uid: str) -> None:
    with pytest.raises(MalformedValueError):
        header({Tag.SERIES_INSTANCE_UID: uid}).uid(Tag.SERIES_INSTANCE_UID)


def test_well_formed_uids() -> None:
    assert is_uid("1.2.840.10008.1.2")
    assert not any(map(is_uid, ("", "1..2", "1.2.", ".1", "1.a", "1" * 65)))
