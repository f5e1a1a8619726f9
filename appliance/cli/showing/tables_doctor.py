"""The doctor's findings as a rich table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from appliance.cli.checking.check import Check


def checks_view(checks: Sequence[Check], *, healthy: bool) -> RenderableType:
    """A line a check, and the verdict."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for check in checks:
        detail = Text(check.detail)
        if check.remedy:
            detail.append(f"\n{check.remedy}", "italic")
        table.add_row(_mark(check), Text(check.name), detail)
    verdict = (
        Text("This machine can run the appliance.", "bold green")
        if healthy
        else Text("This machine cannot run the appliance yet.", "bold red")
    )
    return Group(table, verdict)


def _mark(check: Check) -> Text:
    if check.ok:
        return Text("ok", "green")
    return Text("MISSING", "bold red") if check.needed else Text("no", "yellow")
