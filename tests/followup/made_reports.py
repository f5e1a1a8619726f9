"""Reports of made scans of one patient."""

from __future__ import annotations

from appliance.storage.results import CourseScan
from breathhold.v1 import triage_pb2
from breathhold.v1 import types_pb2 as pb


def made_report(
    name: str,
    po: float | None = 10.0,
    *,
    study: str = "",
    section: pb.Section.ValueType = pb.SECTION_THIN,
    state: pb.ScanState.ValueType = pb.SCAN_STATE_REPORTED,
    received: float = 0.0,
) -> pb.Report:
    """A report whose lung is 4000 ml; `name` is hexadecimal."""
    report = pb.Report(
        scan_id=name,
        study_instance_uid=study,
        series_instance_uid=f"1.2.{int(name, 16)}",
        section=section,
        state=state,
    )
    report.timing.opened_unix_s = received
    report.scores.lung_ml = 4000.0
    if po is not None:
        report.scores.po, report.scores.pho = po, po / 2
        report.scores.lesion_ml, report.scores.high_opacity_ml = 40 * po, 20 * po
        if po:
            report.scores.ihu = -400.0
    return report


def made_scan(name: str, acquired: float, po: float | None = 10.0, **fields: object) -> CourseScan:
    return CourseScan(made_report(name, po, **fields), acquired)  # type: ignore[arg-type]


def made_summary(report: pb.Report) -> triage_pb2.ScanSummary:
    return triage_pb2.ScanSummary(
        scan_id=report.scan_id, series_instance_uid=report.series_instance_uid
    )
