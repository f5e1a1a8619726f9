"""Whose image a slice is and when it was taken, against dates written by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from appliance.ingest import DEFAULT_LIMITS, IngestLimits, read_dicom
from appliance.ingest.acquisition import read_acquisition
from appliance.ingest.header import Header, Tag
from appliance.ingest.part10 import open_part10
from appliance.scan.slice import Acquisition
from tests.ingest import synthetic as dicom

NOON_UTC = datetime(2020, 4, 1, 12, tzinfo=UTC).timestamp()


def acquisition(changes: dicom.Changes, limits: IngestLimits = DEFAULT_LIMITS) -> Acquisition:
    return read_acquisition(Header(open_part10(dicom.ct_file(changes), limits)))


def local(*parts: int) -> float:
    return datetime(*parts).timestamp()  # type: ignore[arg-type]


STUDY = {Tag.STUDY_DATE: "20200401", Tag.STUDY_TIME: "080000"}
SERIES = {Tag.SERIES_DATE: "20200402", Tag.SERIES_TIME: "090000.5"}
TAKEN = {Tag.ACQUISITION_DATE: "20200403", Tag.ACQUISITION_TIME: "1015"}
MOMENT = {Tag.ACQUISITION_DATE_TIME: "20200404111213.25"}


def test_the_best_source_wins() -> None:
    assert acquisition({}).unix_s is None
    assert acquisition(STUDY).unix_s == local(2020, 4, 1, 8)
    assert acquisition(STUDY | SERIES).unix_s == local(2020, 4, 2, 9, 0, 0, 500_000)
    assert acquisition(STUDY | SERIES | TAKEN).unix_s == local(2020, 4, 3, 10, 15)
    whole = acquisition(STUDY | SERIES | TAKEN | MOMENT)
    assert whole.unix_s == local(2020, 4, 4, 11, 12, 13, 250_000)


def test_a_date_without_time_is_the_last_resort() -> None:
    assert acquisition({Tag.ACQUISITION_DATE: "20200403"} | STUDY).unix_s == local(2020, 4, 1, 8)
    assert acquisition({Tag.ACQUISITION_DATE: "20200403"}).unix_s == local(2020, 4, 3)


def test_an_offset_from_utc_is_heeded() -> None:
    east = timezone(timedelta(hours=5, minutes=30))
    noon = {Tag.ACQUISITION_DATE: "20200401", Tag.ACQUISITION_TIME: "120000"}
    assert acquisition(noon | {Tag.TIMEZONE_OFFSET_FROM_UTC: "+0000"}).unix_s == NOON_UTC
    assert (
        acquisition(noon | {Tag.TIMEZONE_OFFSET_FROM_UTC: "+0530"}).unix_s
        == datetime(2020, 4, 1, 12, tzinfo=east).timestamp()
    )
    own = {Tag.ACQUISITION_DATE_TIME: "20200401140000+0200", Tag.TIMEZONE_OFFSET_FROM_UTC: "+0900"}
    assert acquisition(own).unix_s == NOON_UTC
    assert acquisition(noon | {Tag.TIMEZONE_OFFSET_FROM_UTC: "east"}).unix_s == local(
        2020, 4, 1, 12
    )


@pytest.mark.parametrize("day", ["2020-04-01", "20201341", "19000101", "soon", "00000000", " "])
def test_what_is_no_date_of_a_ct_counts_as_not_given(day: str) -> None:
    assert acquisition({Tag.ACQUISITION_DATE: day, Tag.ACQUISITION_TIME: "10"}).unix_s is None
    broken = {Tag.ACQUISITION_DATE: day, Tag.ACQUISITION_TIME: "10"}
    assert acquisition(broken | STUDY).unix_s == local(2020, 4, 1, 8)


def test_old_ways_of_writing() -> None:
    old = {Tag.SERIES_DATE: "2020.04.01", Tag.SERIES_TIME: "12:34:56"}
    assert acquisition(old).unix_s == local(2020, 4, 1, 12, 34, 56)


def test_whose_it_is() -> None:
    given = acquisition({Tag.PATIENT_ID: " 0042 ", Tag.ISSUER_OF_PATIENT_ID: "CLINIC"})
    assert (given.patient_id, given.issuer) == ("0042", "CLINIC")
    assert given.study_instance_uid == "1.2.3"
    assert acquisition({}).patient_id == ""
    longer = [acquisition({Tag.PATIENT_ID: 70 * "x" + end}).patient_id for end in "ab"]
    assert longer[0] != longer[1]
    assert acquisition({Tag.STUDY_INSTANCE_UID: "a-b"}).study_instance_uid == ""


def test_a_patient_is_not_printed() -> None:
    read = read_dicom(dicom.ct_file({Tag.PATIENT_ID: "4711-SECRET"}))
    assert read.header.acquisition.patient_id == "4711-SECRET"
    assert "4711" not in repr(read.header)
