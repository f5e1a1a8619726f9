"""The core's values as messages of the wire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from google.protobuf.message import Message

from appliance.inference.serving import DeviceState, DeviceStatus
from appliance.live.wire_findings import add_findings
from appliance.quantify.scores import NoScore, Scores
from appliance.scan.events import CompletedBy
from appliance.scan.stack import Gap, Section
from appliance.scan.summary import Summary
from appliance.scan.verdicts import Notice, Refusal
from breathhold.v1 import model_pb2
from breathhold.v1 import types_pb2 as pb
from engines.warm_up import Engine

DISCLAIMER = "Research software: not a diagnosis, not for clinical decisions."

_NO_SCORE = {
    None: pb.NO_SCORE_UNSPECIFIED,
    NoScore.NO_LUNG: pb.NO_SCORE_NO_LUNG,
    NoScore.TOO_SHORT: pb.NO_SCORE_TOO_SHORT,
    NoScore.NO_SLICES: pb.NO_SCORE_NO_SLICES,
    NoScore.PENDING: pb.NO_SCORE_PENDING,
}
_SECTION = {
    Section.THIN: pb.SECTION_THIN,
    Section.MEDIUM: pb.SECTION_MEDIUM,
    Section.THICK: pb.SECTION_THICK,
}
_COMPLETED_BY = {
    CompletedBy.END: pb.COMPLETED_BY_END,
    CompletedBy.COUNT: pb.COMPLETED_BY_COUNT,
    CompletedBy.QUIET: pb.COMPLETED_BY_QUIET,
    CompletedBy.ABANDONED: pb.COMPLETED_BY_ABANDONED,
}
_DEVICE_STATE = {
    DeviceState.LOADING: model_pb2.DEVICE_STATE_LOADING,
    DeviceState.SERVING: model_pb2.DEVICE_STATE_SERVING,
    DeviceState.LOST: model_pb2.DEVICE_STATE_LOST,
}
_PRECISIONS = ("int8", "fp16", "fp32")


def scores_message(scores: Scores) -> pb.Scores:
    volumes = scores.volumes
    return pb.Scores(
        po=scores.po,
        pho=scores.pho,
        ihu=volumes.ihu,
        lung_ml=volumes.lung_ml,
        lesion_ml=volumes.lesion_ml,
        high_opacity_ml=volumes.high_opacity_ml,
        no_score=_NO_SCORE[scores.no_score],
    )


def forget_unknown_fields(message: Message) -> None:
    """Drop what a message says that this version does not know, at all depths."""
    cast(Any, message).DiscardUnknownFields()  # which the stubs do not have


def warning_message(notice: Notice) -> pb.Warning:
    return pb.Warning(
        reason=notice.reason,
        message=notice.message,
        sop_instance_uid=notice.sop_instance_uid,
    )


def refusal_message(refusal: Refusal) -> pb.Refusal:
    return pb.Refusal(
        reason=refusal.reason, message=refusal.message, metadata=dict(refusal.metadata)
    )


def gap_message(gap: Gap) -> pb.MissingSlices:
    return pb.MissingSlices(from_mm=gap.from_mm, to_mm=gap.to_mm, count=gap.count)


def device_message(device: DeviceStatus) -> model_pb2.Device:
    return model_pb2.Device(
        name=device.name, state=_DEVICE_STATE[device.state], description=device.words
    )


def model_reference(engine: Engine) -> pb.ModelReference:
    return pb.ModelReference(
        name=engine.spec.name,
        version=engine.spec.version,
        precision=engine.artefact.precision,
        sha256=engine.artefact.sha256,
    )


def report_message(
    scan_id: str,
    study_instance_uid: str,
    series_instance_uid: str,
    summary: Summary,
    engines: Mapping[str, Engine],
) -> pb.Report:
    """The final report without its timing.

    Parameters
    ----------
    engines
        Those that took part, by role.
    """
    abandoned = summary.completed_by is CompletedBy.ABANDONED
    precisions = {engine.artefact.precision for engine in engines.values()}
    report = pb.Report(
        scan_id=scan_id,
        study_instance_uid=study_instance_uid,
        series_instance_uid=series_instance_uid,
        state=pb.SCAN_STATE_ABANDONED if abandoned else pb.SCAN_STATE_REPORTED,
        scores=scores_message(summary.scores),
        section=_SECTION[summary.section],
        spacing_mm=summary.spacing_mm,
        slices=summary.slices,
        missing=[gap_message(gap) for gap in summary.missing],
        warnings=[warning_message(notice) for notice in summary.notices],
        completed_by=_COMPLETED_BY[summary.completed_by],
        models={role: model_reference(engine) for role, engine in engines.items()},
        precision=next((name for name in _PRECISIONS if name in precisions), ""),
        disclaimer=DISCLAIMER,
        quality=summary.quality,
    )
    add_findings(report, summary.findings)
    return report


def announced_section(section: pb.Section.ValueType) -> Section | None:
    """The section that a caller announced; None when it announced none."""
    return next((ours for ours, theirs in _SECTION.items() if theirs == section), None)


def urgency(priority: pb.Priority.ValueType) -> pb.Priority.ValueType:
    """A priority as it is served: unset is routine, and nothing goes beyond emergency."""
    return min(max(priority, pb.PRIORITY_ROUTINE), pb.PRIORITY_EMERGENCY)


def section_message(section: Section) -> pb.Section.ValueType:
    return _SECTION[section]


def signal_name(completed_by: pb.CompletedBy.ValueType) -> str:
    """The completion signal as a word: "end", "count", "quiet" or "abandoned"."""
    return pb.CompletedBy.Name(completed_by).removeprefix("COMPLETED_BY_").lower()
