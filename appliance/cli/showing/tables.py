"""Reports and boards as rich tables."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from appliance.cli.showing.findings import findings_rows, regions_table
from appliance.cli.showing.follow_up import follow_up_rows
from appliance.cli.showing.records import (
    NO_SCORE,
    completed_by_name,
    priority_name,
    section_name,
    state_name,
)
from breathhold.v1 import triage_pb2, types_pb2

#: Colours of PO: from this many percent on.
_COLOURS = ((50.0, "bold red"), (25.0, "red"), (5.0, "yellow"), (0.0, "green"))
_MOST_LINES = 12


def percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} %"


def po_of(scores: types_pb2.Scores) -> float | None:
    return scores.po if scores.HasField("po") else None


def pho_of(scores: types_pb2.Scores) -> float | None:
    return scores.pho if scores.HasField("pho") else None


def po_style(po: float | None) -> str:
    """The colour of a PO; dim where there is none."""
    if po is None:
        return "dim"
    return next((colour for least, colour in _COLOURS if po >= least), "green")


def report_view(
    report: types_pb2.Report, truth: tuple[float | None, float | None] | None = None
) -> RenderableType:
    """The final report; with `truth` (PO, PHO) beside the measured scores."""
    table = Table(title="Report", title_justify="left", show_header=truth is not None)
    table.add_column("")
    table.add_column("measured", justify="right")
    if truth is not None:
        table.add_column("truth", justify="right")
    rows = (
        *_score_rows(report.scores, truth),
        *findings_rows(report),
        *follow_up_rows(report),
        *_other_rows(report),
    )
    for row in rows:
        table.add_row(*row)
    regions = regions_table(report)
    return Group(table, *([regions] if regions else []), *_remarks(report))


def _score_rows(
    scores: types_pb2.Scores, truth: tuple[float | None, float | None] | None
) -> list[tuple[RenderableType, ...]]:
    po, pho = po_of(scores), pho_of(scores)
    rows: list[tuple[RenderableType, ...]] = [
        ("PO, opacity of lung", Text(percent(po), po_style(po))),
        ("PHO, high opacity of lung", percent(pho)),
    ]
    if truth is not None:
        rows = [(*row, percent(true)) for row, true in zip(rows, truth, strict=True)]
    ihu = f"{scores.ihu:.0f} HU" if scores.HasField("ihu") else "-"
    return [
        *rows,
        ("lung", f"{scores.lung_ml:.0f} ml"),
        ("lesion", f"{scores.lesion_ml:.0f} ml"),
        ("of it above -200 HU", f"{scores.high_opacity_ml:.0f} ml"),
        ("mean HU in the lesion", ihu),
    ]


def _other_rows(report: types_pb2.Report) -> list[tuple[str, str]]:
    models = ", ".join(
        f"{model.name} {model.version} ({model.precision})"
        for _, model in sorted(report.models.items())
    )
    return [
        ("slices", f"{report.slices}, {report.timing.slices_refused} refused"),
        ("section", f"{section_name(report.section)}, {report.spacing_mm:.2f} mm"),
        ("completed by", completed_by_name(report.completed_by)),
        ("last slice to report", f"{report.timing.last_slice_to_report_s:.2f} s"),
        ("models", models or "-"),
    ]


def _remarks(report: types_pb2.Report) -> list[Text]:
    lines = []
    if reason := NO_SCORE.get(report.scores.no_score, "no score"):
        lines.append(Text(f"No score: {reason}.", "bold yellow"))
    lines += [
        Text(f"Missing: {gap.count} slices between {gap.from_mm:.1f} and {gap.to_mm:.1f} mm", "red")
        for gap in report.missing
    ]
    messages = list(dict.fromkeys(warning.message for warning in report.warnings))
    lines += [Text(f"Warning: {message}", "yellow") for message in messages[:_MOST_LINES]]
    if len(messages) > _MOST_LINES:
        lines.append(Text(f"and {len(messages) - _MOST_LINES} more warnings", "yellow"))
    lines.append(Text(report.disclaimer, "italic"))
    return lines


def board_view(summaries: Iterable[triage_pb2.ScanSummary], caption: str = "") -> Table:
    """The triage board, in the order given."""
    table = Table(title="Triage, worst first", caption=caption or None, expand=True)
    for name in ("priority", "station", "scan", "state"):
        table.add_column(name)
    for name in ("PO", "PHO", "LSS", "coverage", "slices", "warnings"):
        table.add_column(name, justify="right")
    for summary in summaries:
        table.add_row(*_board_row(summary))
    return table


def _board_row(summary: triage_pb2.ScanSummary) -> list[RenderableType]:
    po = po_of(summary.scores)
    priority = priority_name(summary.priority)
    urgent = {"emergency": "bold white on red", "urgent": "bold yellow"}
    reason = NO_SCORE.get(summary.scores.no_score)
    return [
        Text(priority, urgent.get(priority, "")),
        Text(summary.station),
        Text(summary.scan_id[:8]),
        Text(state_name(summary.state), "cyan" if summary.running else ""),
        Text(reason if po is None and reason else percent(po), po_style(po)),
        percent(pho_of(summary.scores)),
        str(summary.lss) if summary.HasField("lss") else "",
        f"{100 * summary.coverage:.0f} %",
        f"{summary.slices_inferred}/{summary.slices_received}",
        str(summary.warnings or ""),
    ]
