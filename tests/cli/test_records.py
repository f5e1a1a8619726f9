from __future__ import annotations

import json

from appliance.cli.showing.records import (
    event_record,
    priority_name,
    report_record,
    section_name,
    state_name,
    summary_record,
)
from appliance.client import ClientError, Interrupted
from breathhold.v1 import scan_pb2 as pb
from breathhold.v1 import triage_pb2, types_pb2

REPORT = types_pb2.Report(
    scan_id="abc",
    series_instance_uid="1.2",
    state=types_pb2.SCAN_STATE_REPORTED,
    scores=types_pb2.Scores(
        po=12.5, pho=2.5, ihu=-400, lung_ml=4000, lesion_ml=500, high_opacity_ml=100
    ),
    section=types_pb2.SECTION_THIN,
    spacing_mm=1.25,
    slices=248,
    missing=[types_pb2.MissingSlices(from_mm=-10, to_mm=5, count=2)],
    warnings=[types_pb2.Warning(reason="GAP", message="Slices are missing.")],
    completed_by=types_pb2.COMPLETED_BY_END,
    models={"lung": types_pb2.ModelReference(name="lung", version=1, precision="int8", sha256="f")},
    precision="int8",
    disclaimer="no diagnosis",
    timing=types_pb2.Timing(last_slice_to_report_s=0.5, slices_refused=3),
)


def test_the_report_has_every_promised_field() -> None:
    record = report_record(REPORT)
    assert record == json.loads(json.dumps(record))
    promised = {
        "event": "report",
        "po": 12.5,
        "pho": 2.5,
        "lung_ml": 4000.0,
        "lesion_ml": 500.0,
        "high_opacity_ml": 100.0,
        "ihu": -400.0,
        "section": "thin",
        "slices": 248,
        "missing": [{"from_mm": -10.0, "to_mm": 5.0, "count": 2}],
        "warnings": [{"reason": "GAP", "message": "Slices are missing.", "sop_instance_uid": ""}],
        "completed_by": "end",
        "models": {"lung": {"name": "lung", "version": 1, "precision": "int8", "sha256": "f"}},
        "precision": "int8",
        "last_slice_to_report_s": 0.5,
    }
    assert promised.items() <= record.items()
    assert "no_score" not in record


def test_no_score_is_null_with_a_reason_never_zero() -> None:
    scores = types_pb2.Scores(no_score=types_pb2.NO_SCORE_NO_LUNG)
    record = report_record(types_pb2.Report(scores=scores))
    assert (record["po"], record["pho"], record["ihu"]) == (None, None, None)
    assert record["no_score"] == "no lung found"


def test_a_running_score_has_exactly_the_promised_fields() -> None:
    running = pb.RunningScore(
        scores=types_pb2.Scores(po=1, pho=0.5),
        slices_received=8,
        slices_inferred=4,
        coverage=0.5,
        elapsed_s=1.5,
    )
    assert event_record(running) == {
        "event": "running",
        "po": 1.0,
        "pho": 0.5,
        "slices_received": 8,
        "slices_inferred": 4,
        "coverage": 0.5,
        "elapsed_s": 1.5,
    }


def test_other_events() -> None:
    refusal = types_pb2.Refusal(reason="NOT_CT", message="No.", metadata={"modality": "MR"})
    refused = event_record(pb.SliceRefused(sequence=3, sop_instance_uid="1.2", refusal=refusal))
    assert refused is not None
    assert (refused["event"], refused["reason"]) == ("refused", "NOT_CT")
    warning = event_record(types_pb2.Warning(reason="GAP", message="A gap."))
    assert warning == {
        "event": "warning", "reason": "GAP", "message": "A gap.", "sop_instance_uid": "",
    }  # fmt: skip
    assert event_record(pb.Ack()) is None
    assert event_record(pb.Opened(scan_id="a", kept_sop_instance_uids=["1", "2"])) == {
        "event": "opened", "scan_id": "a", "state": "unspecified", "slices_kept": 2,
    }  # fmt: skip
    import grpc

    gone = ClientError(grpc.StatusCode.UNAVAILABLE, "", "gone")
    assert event_record(Interrupted(gone, 0.5)) == {
        "event": "interrupted", "message": "gone", "wait_s": 0.5,
    }  # fmt: skip


def test_a_line_of_the_board() -> None:
    summary = triage_pb2.ScanSummary(
        scan_id="abc", priority=types_pb2.PRIORITY_EMERGENCY, running=True, coverage=0.25
    )
    record = summary_record(summary)
    assert record["priority"] == "emergency"
    assert record["po"] is None
    assert record["running"] is True


def test_enum_values_of_a_newer_appliance_are_numbers() -> None:
    message = types_pb2.Report.FromString(types_pb2.Report(section=99).SerializeToString())  # type: ignore[arg-type]
    assert section_name(message.section) == "99"
    assert state_name(types_pb2.SCAN_STATE_ABANDONED) == "abandoned"
    assert priority_name(types_pb2.PRIORITY_UNSPECIFIED) == "routine"
