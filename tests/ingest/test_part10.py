from __future__ import annotations

import pytest

from appliance.ingest import DEFAULT_LIMITS, SliceRefusedError, read_dicom
from appliance.ingest.part10 import open_part10
from appliance.ingest.tags import Tag
from appliance.scan.verdicts import RefusalReason
from tests.ingest import synthetic as dicom


def test_meta_gives_syntax_and_uids() -> None:
    opened = open_part10(dicom.ct_file(), DEFAULT_LIMITS)
    assert opened.syntax.uid == dicom.EXPLICIT
    assert opened.sop_class_uid == dicom.CT_CLASS
    assert opened.sop_instance_uid == dicom.SOP_UID
    assert opened.defects == set()
    assert Tag.ROWS in opened.tags
    assert Tag.MANUFACTURER not in opened.tags


def test_wrong_group_length_is_ignored() -> None:
    data = bytearray(dicom.ct_file())
    data[140:144] = b"\xff\xff\x00\x00"
    assert read_dicom(bytes(data)).header.sop_instance_uid == dicom.SOP_UID


def test_meta_written_without_vr() -> None:
    meta = dicom.element(0x00020010, dicom.IMPLICIT, implicit=True)
    body = dicom.ct_file(syntax=dicom.IMPLICIT)[len(dicom.file_meta(dicom.IMPLICIT)) :]
    opened = open_part10(meta + body, DEFAULT_LIMITS)
    assert opened.syntax.uid == dicom.IMPLICIT
    assert opened.defects == {
        "the file has no preamble",
        "file meta information: elements have no VR against the rule",
    }


def test_bytes_after_the_deflated_data_set_are_ignored() -> None:
    data = dicom.ct_file(syntax=dicom.DEFLATED)
    assert read_dicom(data + b"\0").header.digest == read_dicom(data).header.digest


def test_private_syntax_is_refused_without_echoing_it() -> None:
    data = dicom.file_meta("DOE JANE") + dicom.data_set()
    with pytest.raises(SliceRefusedError) as caught:
        open_part10(data, DEFAULT_LIMITS)
    assert caught.value.refusal.reason is RefusalReason.TRANSFER_SYNTAX_NOT_ALLOWED
    assert caught.value.refusal.metadata["transfer_syntax"] == "malformed"
