"""Which scan of a patient came before which."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.followup.changes import changes, direction
from appliance.storage.results import CourseScan
from breathhold.v1 import triage_pb2
from breathhold.v1 import types_pb2 as pb


def points(course: Sequence[CourseScan], patient_key: str) -> list[triage_pb2.CoursePoint]:
    """The course of a patient as messages of the wire, each scan against those before it."""
    return [_point(scan, course, patient_key) for scan in course]


def _point(
    scan: CourseScan, course: Sequence[CourseScan], patient_key: str
) -> triage_pb2.CoursePoint:
    report = scan.report
    found = follow_up(scan, course, patient_key)
    return triage_pb2.CoursePoint(
        scan_id=report.scan_id,
        study_instance_uid=report.study_instance_uid,
        series_instance_uid=report.series_instance_uid,
        acquired_unix_s=scan.acquired_unix_s,
        section=report.section,
        state=report.state,
        scores=report.scores,
        follow_up=found if found.previous_scan_id else None,
    )


def follow_up(scan: CourseScan, course: Sequence[CourseScan], patient_key: str) -> pb.FollowUp:
    """A scan against the last one before it; an empty message where there is none.

    Before means acquired before, whenever the reports were made; of two scans with one
    time of acquisition, the one received first. Only whole scans with a score are
    compared. Scans of one study are reconstructions or phases of one examination: none is
    the other's follow-up. Where the last study before has several scans, the one of the same
    section is taken, else the last.

    Parameters
    ----------
    scan
        Part of the course or not yet.
    course
        Scans of the same patient, in any order.
    """
    earlier = earlier_scans(scan, course)
    if not earlier:
        return pb.FollowUp()
    previous = _to_compare(scan.report, earlier)
    before, now = previous.report.scores, scan.report.scores
    return pb.FollowUp(
        patient_key=patient_key,
        previous_scan_id=previous.report.scan_id,
        previous_unix_s=previous.acquired_unix_s,
        earlier_scans=len(earlier),
        changes=changes(before, now),
        direction=direction("po", before.po, now.po),
    )


def earlier_scans(scan: CourseScan, course: Sequence[CourseScan]) -> list[CourseScan]:
    """The scans that a scan is a follow-up of, the last acquired last; see :func:`follow_up`."""
    if not _counts(scan.report):
        return []
    found = [one for one in course if _counts(one.report) and _comes_before(one, scan)]
    return sorted(found, key=_moment)


def _counts(report: pb.Report) -> bool:
    return report.state == pb.SCAN_STATE_REPORTED and report.scores.HasField("po")


def _comes_before(one: CourseScan, scan: CourseScan) -> bool:
    if one.report.scan_id == scan.report.scan_id or _same_study(one.report, scan.report):
        return False
    return _moment(one) < _moment(scan)


def _same_study(one: pb.Report, other: pb.Report) -> bool:
    return bool(one.study_instance_uid) and one.study_instance_uid == other.study_instance_uid


def _moment(scan: CourseScan) -> tuple[float, float, str]:
    return scan.acquired_unix_s, scan.report.timing.opened_unix_s, scan.report.scan_id


def _to_compare(report: pb.Report, earlier: Sequence[CourseScan]) -> CourseScan:
    last = earlier[-1]
    study = [one for one in earlier if one is last or _same_study(one.report, last.report)]
    same_section = [one for one in study if one.report.section == report.section]
    return (same_section or [last])[-1]
