"""What has changed since a patient's last scan, in words."""

from __future__ import annotations

from datetime import datetime

from appliance.cli.showing.records import direction_name
from breathhold.v1 import types_pb2

#: Unit and digits of each change.
_UNITS = {
    "po": ("points", 1),
    "pho": ("points", 1),
    "ihu": ("HU", 0),
    "lung_ml": ("ml", 0),
    "lesion_ml": ("ml", 0),
    "high_opacity_ml": ("ml", 0),
}


def follow_up_rows(report: types_pb2.Report) -> list[tuple[str, str]]:
    """Rows of a report's table: what has changed since the last scan; none for the first."""
    if not report.HasField("follow_up"):
        return []
    follow_up = report.follow_up
    rows = [("change since", moment(follow_up.previous_unix_s))]
    for change in follow_up.changes:
        unit, digits = _UNITS.get(change.name, ("", 1))
        text = f"{change.change:+.{digits}f} {unit}, {direction_name(change.direction)}"
        rows.append((f"  {change.name.removesuffix('_ml').replace('_', ' ')}", text))
    return rows


def moment(unix_s: float) -> str:
    """A moment in this machine's time zone."""
    return datetime.fromtimestamp(unix_s).strftime("%Y-%m-%d %H:%M")
