"""What the appliance says, as JSON objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from appliance.cli.showing.findings import findings_record
from appliance.client.sending import Interrupted, ScanEvent
from breathhold.v1 import scan_pb2, triage_pb2, types_pb2

Record = dict[str, object]

#: Why there is no score, in words.
NO_SCORE = {
    types_pb2.NO_SCORE_UNSPECIFIED: None,
    types_pb2.NO_SCORE_NO_LUNG: "no lung found",
    types_pb2.NO_SCORE_TOO_SHORT: "too few slices to be a chest CT",
    types_pb2.NO_SCORE_NO_SLICES: "no slice was accepted",
}


class _Enum(Protocol):
    def Name(self, number: Any) -> str: ...  # noqa: N802


def name_of(value: int, enum: _Enum, prefix: str) -> str:
    """An enum value of the wire in lower case, without its prefix; a newer one as its number."""
    try:
        return enum.Name(value).removeprefix(prefix).lower()
    except ValueError:
        return str(value)


def state_name(state: types_pb2.ScanState.ValueType) -> str:
    return name_of(state, types_pb2.ScanState, "SCAN_STATE_")


def section_name(section: types_pb2.Section.ValueType) -> str:
    return name_of(section, types_pb2.Section, "SECTION_")


def priority_name(priority: types_pb2.Priority.ValueType) -> str:
    priority = priority or types_pb2.PRIORITY_ROUTINE
    return name_of(priority, types_pb2.Priority, "PRIORITY_")


def completed_by_name(by: types_pb2.CompletedBy.ValueType) -> str:
    return name_of(by, types_pb2.CompletedBy, "COMPLETED_BY_")


def scores_record(scores: types_pb2.Scores) -> Record:
    """PO and PHO in percent, null with a reason where there is no score."""
    record: Record = {
        "po": scores.po if scores.HasField("po") else None,
        "pho": scores.pho if scores.HasField("pho") else None,
    }
    if reason := NO_SCORE.get(scores.no_score, "no score"):
        record["no_score"] = reason
    return record


def running_record(running: scan_pb2.RunningScore) -> Record:
    return {
        "event": "running",
        **scores_record(running.scores),
        "slices_received": running.slices_received,
        "slices_inferred": running.slices_inferred,
        "coverage": running.coverage,
        "elapsed_s": running.elapsed_s,
    }


def refused_record(refused: scan_pb2.SliceRefused) -> Record:
    return {
        "event": "refused",
        "sequence": refused.sequence,
        "sop_instance_uid": refused.sop_instance_uid,
        "reason": refused.refusal.reason,
        "message": refused.refusal.message,
        "metadata": dict(refused.refusal.metadata),
    }


def warning_record(warning: types_pb2.Warning) -> Record:
    return {
        "reason": warning.reason,
        "message": warning.message,
        "sop_instance_uid": warning.sop_instance_uid,
    }


def report_record(report: types_pb2.Report) -> Record:
    """The whole final report."""
    scores = report.scores
    return {
        "event": "report",
        **scores_record(scores),
        "lung_ml": scores.lung_ml,
        "lesion_ml": scores.lesion_ml,
        "high_opacity_ml": scores.high_opacity_ml,
        "ihu": scores.ihu if scores.HasField("ihu") else None,
        **findings_record(report),
        "quality": dict(sorted(report.quality.items())),
        "section": section_name(report.section),
        "slices": report.slices,
        "missing": [
            {"from_mm": gap.from_mm, "to_mm": gap.to_mm, "count": gap.count}
            for gap in report.missing
        ],
        "warnings": [warning_record(warning) for warning in report.warnings],
        "completed_by": completed_by_name(report.completed_by),
        "models": _models(report.models),
        "precision": report.precision,
        "last_slice_to_report_s": report.timing.last_slice_to_report_s,
        "scan_id": report.scan_id,
        "series_instance_uid": report.series_instance_uid,
        "state": state_name(report.state),
        "spacing_mm": report.spacing_mm,
        "slices_refused": report.timing.slices_refused,
        "disclaimer": report.disclaimer,
        "follow_up": follow_up_record(report.follow_up) if report.HasField("follow_up") else None,
    }


def follow_up_record(follow_up: types_pb2.FollowUp) -> Record:
    """What has changed since the patient's last scan."""
    return {
        "patient_key": follow_up.patient_key,
        "previous_scan_id": follow_up.previous_scan_id,
        "previous_unix_s": follow_up.previous_unix_s,
        "earlier_scans": follow_up.earlier_scans,
        "direction": direction_name(follow_up.direction),
        "changes": {
            change.name: {
                "before": change.before,
                "now": change.now,
                "change": change.change,
                "direction": direction_name(change.direction),
            }
            for change in follow_up.changes
        },
    }


def direction_name(direction: types_pb2.Direction.ValueType) -> str:
    """As a word: "unchanged", "increased" or "decreased"."""
    return name_of(direction, types_pb2.Direction, "DIRECTION_")


def _models(models: Mapping[str, types_pb2.ModelReference]) -> Record:
    return {
        role: {
            "name": model.name,
            "version": model.version,
            "precision": model.precision,
            "sha256": model.sha256,
        }
        for role, model in sorted(models.items())
    }


def event_record(event: ScanEvent) -> Record | None:
    """An event of a scan that is being sent; None for those that are not printed."""
    if isinstance(event, scan_pb2.RunningScore):
        return running_record(event)
    if isinstance(event, scan_pb2.SliceRefused):
        return refused_record(event)
    if isinstance(event, types_pb2.Warning):
        return {"event": "warning", **warning_record(event)}
    if isinstance(event, scan_pb2.Opened):
        return _opened_record(event)
    if isinstance(event, Interrupted):
        return {"event": "interrupted", "message": str(event.error), "wait_s": event.wait_s}
    return None


def _opened_record(opened: scan_pb2.Opened) -> Record:
    return {
        "event": "opened",
        "scan_id": opened.scan_id,
        "state": state_name(opened.state),
        "slices_kept": len(opened.kept_sop_instance_uids),
    }


def summary_record(summary: triage_pb2.ScanSummary) -> Record:
    """One line of the triage board."""
    return {
        "event": "scan",
        "scan_id": summary.scan_id,
        "series_instance_uid": summary.series_instance_uid,
        "station": summary.station,
        "priority": priority_name(summary.priority),
        "state": state_name(summary.state),
        **scores_record(summary.scores),
        "running": summary.running,
        "slices_received": summary.slices_received,
        "slices_inferred": summary.slices_inferred,
        "coverage": summary.coverage,
        "lss": summary.lss if summary.HasField("lss") else None,
        "warnings": summary.warnings,
        "opened_unix_s": summary.opened_unix_s,
        "updated_unix_s": summary.updated_unix_s,
    }
