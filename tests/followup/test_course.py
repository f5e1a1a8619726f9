"""Which scan comes before which, on courses laid out by hand."""

from __future__ import annotations

import random

import pytest

from appliance.followup.course import follow_up, points
from appliance.storage.results import CourseScan
from breathhold.v1 import types_pb2 as pb
from tests.followup.made_reports import made_scan

DAY = 86400.0


def previous(scan: CourseScan, course: list[CourseScan]) -> str:
    return follow_up(scan, course, "key").previous_scan_id


def test_the_first_scan_has_nothing_to_follow() -> None:
    first = made_scan("1", DAY)
    assert follow_up(first, [], "key") == pb.FollowUp()
    assert follow_up(first, [first, made_scan("2", 2 * DAY)], "key") == pb.FollowUp()


def test_the_last_scan_before_counts_in_whatever_order_they_came() -> None:
    course = [made_scan(f"{day}", day * DAY, 10.0 * day) for day in range(1, 6)]
    random.Random(3).shuffle(course)
    scan = made_scan("a", 3.5 * DAY, 5.0)
    found = follow_up(scan, course, "key")
    assert (found.previous_scan_id, found.previous_unix_s) == ("3", 3 * DAY)
    assert (found.patient_key, found.earlier_scans) == ("key", 3)
    assert found.changes[0].change == -25.0
    assert found.direction == pb.DIRECTION_DECREASED


def test_a_report_made_later_for_an_earlier_scan_looks_back_only() -> None:
    later = made_scan("2", 5 * DAY, received=1.0)
    late_report = made_scan("1", 1 * DAY, received=9.0)
    assert previous(late_report, [later]) == ""
    assert previous(later, [late_report]) == "1"


def test_at_one_time_the_one_received_first_came_first() -> None:
    first, second = made_scan("b", DAY, received=1.0), made_scan("a", DAY, received=2.0)
    assert previous(second, [first]) == "b"
    assert previous(first, [second]) == ""
    assert [change.change for change in follow_up(second, [first], "key").changes] == [0.0] * 6


def test_scans_of_one_study_do_not_follow_each_other() -> None:
    thin = made_scan("1", DAY, study="1.9")
    later_phase = made_scan("2", DAY + 60, study="1.9", section=pb.SECTION_THICK)
    assert previous(later_phase, [thin]) == ""
    other = made_scan("3", DAY + 60, study="1.8")
    assert previous(other, [thin, later_phase]) == "1"


def test_of_several_reconstructions_the_one_like_it_is_compared() -> None:
    before = [
        made_scan("1", DAY, study="1.1"),
        made_scan("2", DAY, study="1.1", section=pb.SECTION_THICK, received=1.0),
    ]
    older = made_scan("3", 0.5 * DAY, study="1.0")
    thin, thick, medium = (
        made_scan("4", 9 * DAY, study="1.2", section=section)
        for section in (pb.SECTION_THIN, pb.SECTION_THICK, pb.SECTION_MEDIUM)
    )
    for course in ([older, *before], [*before[::-1], older]):
        assert previous(thin, course) == "1"
        assert previous(thick, course) == "2"
        assert previous(medium, course) == "2"


@pytest.mark.parametrize(
    "unfit",
    [{"po": None}, {"state": pb.SCAN_STATE_ABANDONED}],
    ids=["no score", "abandoned"],
)
def test_what_is_no_whole_scan_of_a_lung_is_not_compared(unfit: dict[str, object]) -> None:
    good = made_scan("1", DAY)
    odd = made_scan("2", 2 * DAY, **unfit)  # type: ignore[arg-type]
    assert previous(odd, [good]) == ""
    assert previous(made_scan("3", 3 * DAY), [good, odd]) == "1"


def test_a_scan_reported_again_does_not_follow_itself() -> None:
    old = made_scan("1", DAY, received=1.0)
    again = made_scan("1", DAY, received=2.0)
    assert follow_up(again, [old], "key") == pb.FollowUp()


def test_a_course_has_a_point_a_scan() -> None:
    course = [made_scan("1", DAY, 10.0), made_scan("2", 2 * DAY, None), made_scan("3", 3 * DAY)]
    found = points(course, "key")
    assert [one.scan_id for one in found] == ["1", "2", "3"]
    assert [one.HasField("follow_up") for one in found] == [False, False, True]
    assert found[2].follow_up.previous_scan_id == "1"
    assert found[0].scores.po == 10.0
    assert found[2].acquired_unix_s == 3 * DAY


def test_one_id_for_all_patients_makes_a_long_course_and_not_a_slow_one() -> None:
    """Each scan against every other would be 36 million comparisons."""
    course = [made_scan(f"{n:x}", n // 2 * DAY, study=f"1.{n // 4}") for n in range(1, 6001)]
    found = points(course, "key")
    assert found[-1].follow_up.earlier_scans == 5999
    assert found[-1].follow_up.previous_scan_id == f"{5999:x}"
