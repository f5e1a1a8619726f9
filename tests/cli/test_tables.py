from __future__ import annotations

import io

import pytest
from rich.console import Console, RenderableType

from appliance.cli.showing.tables import board_view, po_style, report_view
from breathhold.v1 import triage_pb2, types_pb2
from tests.cli.test_records import REPORT


def text(view: RenderableType) -> str:
    out = Console(width=120, file=io.StringIO())
    with out.capture() as captured:
        out.print(view)
    return captured.get()


def test_the_report_shows_scores_warnings_and_the_disclaimer() -> None:
    shown = text(report_view(REPORT))
    expected = ("12.5 %", "2.5 %", "4000 ml", "-400 HU", "248, 3 refused", "thin, 1.25 mm",
                "lung 1 (int8)", "0.50 s", "Missing: 2 slices", "Slices are missing.",
                "no diagnosis")  # fmt: skip
    for part in expected:
        assert part in shown


def test_the_truth_stands_beside_the_measured_scores() -> None:
    shown = text(report_view(REPORT, (11.1, None)))
    row = next(line for line in shown.splitlines() if "PO, opacity" in line)
    assert "12.5 %" in row
    assert "11.1 %" in row


def test_no_score_says_why() -> None:
    scores = types_pb2.Scores(no_score=types_pb2.NO_SCORE_NO_LUNG)
    shown = text(report_view(types_pb2.Report(scores=scores)))
    assert "No score: no lung found." in shown
    assert "0.0 %" not in shown


def test_equal_warnings_are_shown_once_and_many_are_counted() -> None:
    warnings = [types_pb2.Warning(message=f"warning {number}") for number in range(20)]
    shown = text(report_view(types_pb2.Report(warnings=warnings + warnings)))
    assert sum(line.strip() == "Warning: warning 1" for line in shown.splitlines()) == 1
    assert "and 8 more warnings" in shown


@pytest.mark.parametrize(
    ("po", "style"), [(None, "dim"), (0, "green"), (5, "yellow"), (25, "red"), (80, "bold red")]
)
def test_colours_by_po(po: float | None, style: str) -> None:
    assert po_style(po) == style


def test_markup_in_names_is_only_text() -> None:
    summary = triage_pb2.ScanSummary(station="[bold]CT[/x]", scan_id="0123456789")
    shown = text(board_view([summary]))
    assert "[bold]CT[/x]" in shown
    assert "01234567" in shown
