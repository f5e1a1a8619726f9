"""The outcomes as Markdown, and into a page between two marks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.gpu.check.parts import Outcome, Row

BEGIN = "<!-- gpu-check: what follows is written by `make gpu-check` -->"
END = "<!-- gpu-check: end -->"


class MarksMissingError(Exception):
    """A page has no place for what is to be written; the message names the page."""


def markdown(outcomes: Sequence[Outcome], versions: Row) -> str:
    """What there was, one line a part, and the table of each part that ran."""
    there = "; ".join(f"{name} {value}" for name, value in versions.items() if value)
    lines = [f"Last run: {there}.", "", *_table(_summary(outcomes)), ""]
    for outcome in outcomes:
        if outcome.rows or outcome.notes:
            lines += [f"### {outcome.part}", "", *_table(outcome.rows)]
            lines += ["", *outcome.notes, ""] if outcome.notes else [""]
    return "\n".join(lines).rstrip() + "\n"


def _summary(outcomes: Sequence[Outcome]) -> list[Row]:
    return [{"part": one.part, "state": one.state, "why": one.reason} for one in outcomes]


def _table(rows: Sequence[Row]) -> list[str]:
    """A table of all the columns that a row has, in the order in which they come first."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    if not names:
        return []
    head = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    return head + ["| " + " | ".join(_cell(row.get(name)) for name in names) + " |" for row in rows]


def _cell(value: object) -> str:
    match value:
        case None:
            return "—"
        case bool():
            return "pass" if value else "**fail**"
        case float():
            return f"{value:.4g}"
        case _:
            return str(value).replace("|", "\\|").replace("\n", " ")


def write_into(page: Path, text: str) -> None:
    """Put the text between the page's two marks.

    Raises
    ------
    MarksMissingError
        When they are not there, in this order.
    """
    content = page.read_text(encoding="utf-8")
    before, begin, rest = content.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise MarksMissingError(f"{page} has no place for the table: {BEGIN} and {END}")
    page.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}", encoding="utf-8")
