"""The course of a patient: as JSON, as a table, as a plot."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from appliance.cli.showing.follow_up import moment
from appliance.cli.showing.output import console, print_json
from appliance.cli.showing.records import (
    Record,
    direction_name,
    follow_up_record,
    scores_record,
    section_name,
    state_name,
)
from appliance.client import ScanClient
from breathhold.v1 import triage_pb2, types_pb2

_DISCLAIMER = "Research software: not a diagnosis."
_ARROWS = {"increased": ("up", "red"), "decreased": ("down", "green"), "unchanged": ("same", "")}
_SCORE_HEADS = ("PO", "PHO", "iHU", "lung", "lesion")


def show_course(
    client: ScanClient, scan: str, patient_key: str, *, json: bool, plot: Path | None = None
) -> None:
    """Print the course of a patient, and write its plot where one is asked for.

    Raises
    ------
    ClientError
        When there is no such scan or patient.
    OSError
        When the plot cannot be written.
    """
    course = client.course(scan, patient_key=patient_key)
    if plot:
        plot.parent.mkdir(parents=True, exist_ok=True)
        plot.write_bytes(_plotted(course))
    if json:
        files = {"files": [str(plot)]} if plot else {}
        print_json(course_record(course) | files)
        return
    console().print(course_view(course))
    if plot:
        console().print(f"Wrote {plot}", soft_wrap=True, markup=False)


def course_record(course: triage_pb2.GetCourseResponse) -> Record:
    """The course as one JSON object."""
    return {
        "event": "course",
        "patient_key": course.patient_key,
        "scans": [_point_record(point) for point in course.points],
    }


def _point_record(point: triage_pb2.CoursePoint) -> Record:
    scores = point.scores
    return {
        "scan_id": point.scan_id,
        "study_instance_uid": point.study_instance_uid,
        "series_instance_uid": point.series_instance_uid,
        "acquired_unix_s": point.acquired_unix_s,
        "section": section_name(point.section),
        "state": state_name(point.state),
        **scores_record(scores),
        "ihu": scores.ihu if scores.HasField("ihu") else None,
        "lung_ml": scores.lung_ml,
        "lesion_ml": scores.lesion_ml,
        "high_opacity_ml": scores.high_opacity_ml,
        "follow_up": follow_up_record(point.follow_up) if point.HasField("follow_up") else None,
    }


def course_view(course: triage_pb2.GetCourseResponse) -> RenderableType:
    """A line a scan, the first acquired first."""
    table = Table(title=f"Patient {course.patient_key}", title_justify="left")
    table.add_column("acquired")
    table.add_column("scan")
    table.add_column("section")
    for head in (*_SCORE_HEADS, "change of PO"):
        table.add_column(head, justify="right")
    for point in course.points:
        table.add_row(*_point_row(point))
    return Group(table, Text(_DISCLAIMER, "italic"))


def _point_row(point: triage_pb2.CoursePoint) -> list[RenderableType]:
    scores = point.scores
    return [
        moment(point.acquired_unix_s),
        point.scan_id[:8],
        section_name(point.section) + ("" if _is_whole(point) else f", {state_name(point.state)}"),
        f"{scores.po:.1f} %" if scores.HasField("po") else "-",
        f"{scores.pho:.1f} %" if scores.HasField("pho") else "-",
        f"{scores.ihu:.0f} HU" if scores.HasField("ihu") else "-",
        f"{scores.lung_ml:.0f} ml",
        f"{scores.lesion_ml:.0f} ml",
        _po_change(point) if point.HasField("follow_up") else "",
    ]


def _is_whole(point: triage_pb2.CoursePoint) -> bool:
    return point.state == types_pb2.SCAN_STATE_REPORTED


def _po_change(point: triage_pb2.CoursePoint) -> Text:
    name = direction_name(point.follow_up.direction)
    arrow, colour = _ARROWS.get(name, (name, ""))
    change = next(one.change for one in point.follow_up.changes if one.name == "po")
    return Text(f"{change:+.1f} {arrow}", colour)


def _plotted(course: triage_pb2.GetCourseResponse) -> bytes:
    from calibration.evaluation.course import CoursePlotPoint, course_plot

    points = [
        CoursePlotPoint(
            acquired=datetime.fromtimestamp(point.acquired_unix_s),
            po=point.scores.po,
            pho=point.scores.pho,
            ihu=point.scores.ihu if point.scores.HasField("ihu") else None,
            section=section_name(point.section),
        )
        for point in course.points
        if point.scores.HasField("po") and _is_whole(point)
    ]
    return course_plot(points, f"Patient {course.patient_key[:8]}")
