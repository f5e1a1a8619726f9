from __future__ import annotations

import pytest

from appliance.ingest import DEFAULT_LIMITS, IngestLimits, SliceRefusedError, read_dicom
from appliance.ingest.header import Header, Tag
from appliance.ingest.notices import QUESTIONS, Evidence, find_notices, plane_notices
from appliance.ingest.part10 import open_part10
from appliance.ingest.plane import build_geometry, read_geometry
from appliance.scan.verdicts import NoticeReason, RefusalReason
from tests.ingest import synthetic as dicom

FLIPPED_BOTH = "-1\\0\\0\\0\\-1\\0"


def evidence(
    changes: dicom.Changes, *, sign_mismatch: bool = False, excess_bytes: int = 0
) -> Evidence:
    header = Header(open_part10(dicom.ct_file(changes), DEFAULT_LIMITS))
    geometry = read_geometry(header, DEFAULT_LIMITS)
    return Evidence(header, geometry, DEFAULT_LIMITS, sign_mismatch, excess_bytes)


def message(reason: NoticeReason, changes: dicom.Changes) -> str | None:
    return QUESTIONS[reason](evidence(changes))


def test_clean_slice_earns_none() -> None:
    assert find_notices(evidence({}), "1.2") == ()


def test_notices_name_their_slice_and_keep_the_order_of_the_table() -> None:
    changes = {Tag.CONTRAST_BOLUS_AGENT: "IODINE", Tag.MODALITY: None, Tag.SLICE_THICKNESS: "0"}
    notices = find_notices(evidence(changes, sign_mismatch=True), "1.2.9")
    assert [notice.reason for notice in notices] == [
        NoticeReason.MODALITY_MISSING,
        NoticeReason.SIGN_MISMATCH,
        NoticeReason.THICKNESS_MISSING,
        NoticeReason.CONTRAST,
    ]
    assert {notice.sop_instance_uid for notice in notices} == {"1.2.9"}


def test_every_defect_is_said_once() -> None:
    changes = {
        Tag.SLICE_THICKNESS: "thin",
        Tag.STUDY_INSTANCE_UID: "1..2",
        0x00081140: b"no items",
    }
    said = QUESTIONS[NoticeReason.MALFORMED_HEADER](evidence(changes, excess_bytes=2))
    assert said == (
        "The header is malformed: a sequence is malformed; study instance uid is malformed; "
        "slice thickness is malformed; there are more pixel data than pixels."
    )


def test_one_byte_of_padding_is_no_excess() -> None:
    malformed = QUESTIONS[NoticeReason.MALFORMED_HEADER]
    assert malformed(evidence({}, excess_bytes=1)) is None


@pytest.mark.parametrize("agent", [None, "", "NONE", "no ", "Unenhanced"])
def test_words_for_no_contrast(agent: str | None) -> None:
    assert message(NoticeReason.CONTRAST, {Tag.CONTRAST_BOLUS_AGENT: agent}) is None


@pytest.mark.parametrize(
    ("position", "orientation", "prone"),
    [
        ("HFP", None, True),
        ("FFP", None, True),
        ("HFS", FLIPPED_BOTH, False),
        (None, FLIPPED_BOTH, True),
        (None, "-1\\0\\0\\0\\1\\0", False),
        (None, None, False),
    ],
)
def test_prone_by_position_or_else_by_orientation(
    position: str | None, orientation: str | None, prone: bool
) -> None:
    changes: dict[int, str | None] = {Tag.PATIENT_POSITION: position}
    if orientation:
        changes[Tag.IMAGE_ORIENTATION] = orientation
    assert (message(NoticeReason.PRONE, changes) is not None) is prone


@pytest.mark.parametrize(("tilt", "said"), [("0.9", False), ("1.1", True), ("-24", True)])
def test_tilt_is_noticed_above_one_degree(tilt: str, said: bool) -> None:
    found = message(NoticeReason.GANTRY_TILT, {Tag.GANTRY_DETECTOR_TILT: tilt})
    assert (found is not None) is said


def test_notices_of_the_plane_alone() -> None:
    plane = build_geometry((0, 0, 0), (0, 1, 0, 1, 0, 0), (0.6, 0.9), (100, 300), None)
    assert set(plane_notices(plane, IngestLimits(small_matrix=101))) == {
        NoticeReason.SMALL_MATRIX,
        NoticeReason.NONSQUARE_PIXELS,
        NoticeReason.IMAGE_FLIPPED,
    }
    assert NoticeReason.SMALL_MATRIX not in plane_notices(plane, IngestLimits(small_matrix=100))


def test_type_at_odds_with_its_value_is_a_refusal_not_a_crash() -> None:
    """The contrast agent is asked for only when notices are found."""
    data = dicom.ct_file({Tag.CONTRAST_BOLUS_AGENT: "IODINE"})
    with pytest.raises(SliceRefusedError) as caught:
        read_dicom(data.replace(b"\x18\x00\x10\x00LO", b"\x18\x00\x10\x00FD"))
    assert caught.value.refusal.reason is RefusalReason.MALFORMED
    assert caught.value.refusal.metadata == {"element": "CONTRAST_BOLUS_AGENT"}
