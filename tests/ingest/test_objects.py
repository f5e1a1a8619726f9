from __future__ import annotations

import pytest

from appliance.ingest import DEFAULT_LIMITS, SliceRefusedError
from appliance.ingest.header import Header, Tag
from appliance.ingest.objects import CT_IMAGE_STORAGE, OBJECT_CHECKS
from appliance.ingest.part10 import open_part10
from appliance.scan.verdicts import RefusalReason
from tests.ingest import synthetic as dicom

SC = "1.2.840.10008.5.1.4.1.1.7"
NO_META = b"\0" * 128 + b"DICM" + b"\x02\x00\x10\x00UI\x14\x00" + b"1.2.840.10008.1.2.1\0"


def check(changes: dicom.Changes, *, meta: bool = True) -> None:
    data = dicom.ct_file(changes)
    if not meta:
        data = NO_META + data[len(dicom.file_meta(dicom.EXPLICIT)) :]
    header = Header(open_part10(data, DEFAULT_LIMITS))
    for one in OBJECT_CHECKS:
        one(header, DEFAULT_LIMITS)


def refusal_of(changes: dicom.Changes, *, meta: bool = True) -> RefusalReason:
    with pytest.raises(SliceRefusedError) as caught:
        check(changes, meta=meta)
    return caught.value.refusal.reason


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {Tag.MODALITY: None},
        {Tag.SOP_CLASS_UID: None},
        {Tag.IMAGE_TYPE: None},
        {Tag.IMAGE_TYPE: "DERIVED\\SECONDARY\\AXIAL"},
        {Tag.NUMBER_OF_FRAMES: "1"},
        {Tag.NUMBER_OF_FRAMES: ""},
        {Tag.PHOTOMETRIC_INTERPRETATION: "MONOCHROME1"},
        {Tag.SAMPLES_PER_PIXEL: None},
    ],
)
def test_what_is_taken_for_a_ct_image(changes: dict[int, str | None]) -> None:
    check(changes)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {Tag.SOP_CLASS_UID: SC, Tag.IMAGE_TYPE: "DERIVED\\SECONDARY\\DOSE_INFO"},
            RefusalReason.DOSE_SCREEN,
        ),
        ({Tag.SOP_CLASS_UID: SC, Tag.MODALITY: "MR"}, RefusalReason.SECONDARY_CAPTURE),
        (
            {Tag.SOP_CLASS_UID: f"{CT_IMAGE_STORAGE}.1", Tag.MODALITY: "MR"},
            RefusalReason.MULTI_FRAME,
        ),
        ({Tag.MODALITY: "PT", Tag.IMAGE_TYPE: "DERIVED\\MIP"}, RefusalReason.NOT_CT),
        ({Tag.IMAGE_TYPE: "original\\primary\\localizer"}, RefusalReason.LOCALIZER),
        ({Tag.SOP_CLASS_UID: "1.2.840.10008.5.1.4.1.1.481.3"}, RefusalReason.NOT_AN_IMAGE),
    ],
)
def test_first_reason_names_the_file_best(changes: dict[int, str], reason: RefusalReason) -> None:
    assert refusal_of(changes) is reason


def test_class_of_a_longer_number_is_another_class() -> None:
    """1.2...1.1.9 is a waveform, 1.2...1.1.91 would not be."""
    assert refusal_of({Tag.SOP_CLASS_UID: "1.2.840.10008.5.1.4.1.1.9.1"}) is (
        RefusalReason.NOT_AN_IMAGE
    )
    assert refusal_of({Tag.SOP_CLASS_UID: "1.2.840.10008.5.1.4.1.1.91"}) is RefusalReason.NOT_CT


def test_file_that_says_nothing_of_itself() -> None:
    silent = {Tag.MODALITY: None, Tag.SOP_CLASS_UID: None}
    check(silent)
    assert refusal_of(silent, meta=False) is RefusalReason.NOT_CT
