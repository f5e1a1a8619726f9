"""Messages as rows of the results database, and the tokens between pages of them."""

from __future__ import annotations

from appliance.storage.errors import ResultsConflictError
from breathhold.v1 import triage_pb2, types_pb2

NO_SCORE_SEVERITY = -1.0
#: Before the first row of the first page: priority, severity, scan id.
BEFORE_ALL: tuple[float, float, str] = (2**31, 0.0, "")

SAVE_SUMMARY = """
    INSERT INTO scans (scan_id, study_uid, series_uid, station, priority, severity, state,
                       opened_unix_s, updated_unix_s, summary)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (scan_id) DO UPDATE SET
        study_uid = CASE excluded.study_uid WHEN '' THEN study_uid ELSE excluded.study_uid END,
        series_uid = excluded.series_uid, station = excluded.station,
        priority = excluded.priority, severity = excluded.severity, state = excluded.state,
        opened_unix_s = excluded.opened_unix_s, updated_unix_s = excluded.updated_unix_s,
        summary = excluded.summary
"""
SAVE_REPORT = """
    UPDATE scans SET report = ?, patient_key = ?, acquired_unix_s = ?, kept_s = NULL
    WHERE scan_id = ?
"""
COURSE = """
    SELECT report, acquired_unix_s FROM scans
    WHERE patient_key = ? AND patient_key <> '' AND report IS NOT NULL
    ORDER BY acquired_unix_s, opened_unix_s, scan_id
"""
SAVE_MASK = """
    INSERT INTO masks (scan_id, kind, position_mm, sop_uid, mask) VALUES (?, ?, ?, ?, ?)
"""
PAGE = """
    SELECT summary FROM scans
    WHERE (priority, severity, scan_id) < (?, ?, ?)
    ORDER BY priority DESC, severity DESC, scan_id DESC LIMIT ?
"""


def _severity(summary: triage_pb2.ScanSummary) -> float:
    return summary.scores.po if summary.scores.HasField("po") else NO_SCORE_SEVERITY


def _priority(summary: triage_pb2.ScanSummary) -> int:
    return summary.priority or types_pb2.PRIORITY_ROUTINE


def mask_kind(kind: int) -> int:
    """A kind as it is stored: unset is lesion."""
    return kind or types_pb2.MASK_KIND_LESION


def summary_row(summary: triage_pb2.ScanSummary, study_uid: str) -> tuple[str | float | bytes, ...]:
    """The values of a scan's row.

    Raises
    ------
    ResultsConflictError
        When the summary names no scan or no series.
    """
    if not summary.scan_id or not summary.series_instance_uid:
        raise ResultsConflictError("a summary needs a scan id and a series UID")
    return (
        summary.scan_id,
        study_uid,
        summary.series_instance_uid,
        summary.station,
        _priority(summary),
        _severity(summary),
        summary.state,
        summary.opened_unix_s,
        summary.updated_unix_s,
        summary.SerializeToString(deterministic=True),
    )


def mask_row(scan_id: str, mask: types_pb2.SliceMask) -> tuple[str | float | bytes, ...]:
    """The values of a mask's row."""
    return (
        scan_id,
        mask_kind(mask.kind),
        mask.position_mm,
        mask.sop_instance_uid,
        mask.SerializeToString(deterministic=True),
    )


def token(summary: triage_pb2.ScanSummary) -> str:
    """Where a page ends, so that the next one begins behind it."""
    return f"{_priority(summary)}:{_severity(summary).hex()}:{summary.scan_id}"


def parse_token(token: str) -> tuple[float, float, str]:
    """Priority, severity and scan id of a token.

    Raises
    ------
    ValueError
        When it was not made by :func:`token`.
    """
    try:
        priority, severity, scan_id = token.split(":", 2)
        return int(priority), float.fromhex(severity), scan_id
    except (ValueError, OverflowError):
        raise ValueError("this page token was not made by this appliance") from None
