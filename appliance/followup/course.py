"""Which scan of a patient came before which."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.followup.changes import changes, direction
from appliance.storage.results import CourseScan
from breathhold.v1 import triage_pb2
from breathhold.v1 import types_pb2 as pb


class EarlierScans:
    """Scans of one patient in the order in which they were taken, each asked what came before.

    Order is that of acquisition, whenever the reports were made; of two scans with one time
    of acquisition, the one received first. Only whole scans with a score are compared. Scans
    of one study are reconstructions or phases of one examination: none is the other's
    follow-up. Where the last study before has several scans, the one of the same section is
    taken, else the last.

    Parameters
    ----------
    patient_key
        Of the patient.
    """

    def __init__(self, patient_key: str) -> None:
        self._patient_key = patient_key
        self._scans: list[CourseScan] = []
        self._of_study: dict[str, list[CourseScan]] = {}

    def add(self, scan: CourseScan) -> None:
        """Put a scan behind all others; one that cannot be compared is passed over."""
        if _counts(scan.report):
            self._scans.append(scan)
            self._of_study.setdefault(_study(scan.report), []).append(scan)

    def follow_up(self, scan: CourseScan) -> pb.FollowUp:
        """A scan against the last one before it; an empty message where there is none."""
        study = _study(scan.report)
        count = len(self._scans) - len(self._of_study.get(study, ()))
        if not count or not _counts(scan.report):
            return pb.FollowUp()
        last = next(one for one in reversed(self._scans) if _study(one.report) != study)
        previous = self._to_compare(scan.report, last)
        before, now = previous.report.scores, scan.report.scores
        return pb.FollowUp(
            patient_key=self._patient_key,
            previous_scan_id=previous.report.scan_id,
            previous_unix_s=previous.acquired_unix_s,
            earlier_scans=count,
            changes=changes(before, now),
            direction=direction("po", before.po, now.po),
        )

    def _to_compare(self, report: pb.Report, last: CourseScan) -> CourseScan:
        study = self._of_study[_study(last.report)]
        same_section = (one for one in reversed(study) if one.report.section == report.section)
        return next(same_section, last)


def points(course: Sequence[CourseScan], patient_key: str) -> list[triage_pb2.CoursePoint]:
    """The course of a patient as messages of the wire, the first acquired first."""
    earlier = EarlierScans(patient_key)
    found = []
    for scan in sorted(course, key=_moment):
        found.append(_point(scan, earlier.follow_up(scan)))
        earlier.add(scan)
    return found


def _point(scan: CourseScan, found: pb.FollowUp) -> triage_pb2.CoursePoint:
    report = scan.report
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
    """A scan against the last one before it (:class:`EarlierScans`); empty where there is none.

    Parameters
    ----------
    scan
        Part of the course or not yet.
    course
        Scans of the same patient, in any order.
    """
    earlier = EarlierScans(patient_key)
    for one in sorted(course, key=_moment):
        if one.report.scan_id != scan.report.scan_id and _moment(one) < _moment(scan):
            earlier.add(one)
    return earlier.follow_up(scan)


def _counts(report: pb.Report) -> bool:
    return report.state == pb.SCAN_STATE_REPORTED and report.scores.HasField("po")


def _study(report: pb.Report) -> str:
    """The study of a scan; one that names none is a study of its own."""
    return report.study_instance_uid or f"scan {report.scan_id}"


def _moment(scan: CourseScan) -> tuple[float, float, str]:
    return scan.acquired_unix_s, scan.report.timing.opened_unix_s, scan.report.scan_id
