"""The outcomes as Markdown, and into a page between two marks."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.gpu.check.parts import Outcome, Row

BEGIN = "<!-- gpu-check: what follows is written by `make gpu-check` -->"
END = "<!-- gpu-check: end -->"
_SECTION = re.compile(r"^### (\S+)\n(.*?)(?=^### |\Z)", re.MULTILINE | re.DOTALL)


class MarksMissingError(Exception):
    """A page has no place for what is to be written; the message names the page."""


def markdown(outcomes: Sequence[Outcome], versions: Row) -> str:
    """What there was, one line a part, and the table of each part that ran."""
    lines = [f"Run: {_there(versions)}.", "", *_table(_summary(outcomes)), ""]
    for outcome in outcomes:
        if outcome.rows or outcome.notes:
            lines += [f"### {outcome.part}", "", *_findings(outcome)]
    return "\n".join(lines).rstrip() + "\n"


def merged(text: str, outcomes: Sequence[Outcome], versions: Row, order: Sequence[str]) -> str:
    """A section a part: of those that ran the new one, of the others that of an earlier run.

    Parameters
    ----------
    text
        What this made before; whatever stands before its first section goes.
    outcomes, versions
        Of this run.
    order
        Names of all parts.
    """
    sections = dict(_SECTION.findall(text))
    for outcome in outcomes:
        if outcome.state != "not run" or outcome.part not in sections:
            sections[outcome.part] = "\n".join(_section(outcome, versions)).rstrip()
    parts = (f"### {name}\n\n{sections[name].strip()}\n" for name in order if name in sections)
    return "\n".join(parts)


def _section(outcome: Outcome, versions: Row) -> list[str]:
    why = f": {outcome.reason}" if outcome.reason else ""
    head = f"**{outcome.state.capitalize()}**{why}. Run: {_there(versions)}."
    return [head, "", *_findings(outcome)]


def _findings(outcome: Outcome) -> list[str]:
    return [*_table(outcome.rows), "", *(f"- {note}" for note in outcome.notes), ""]


def _there(versions: Row) -> str:
    return "; ".join(f"{name} {value}" for name, value in versions.items() if value)


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


def rewrite(page: Path, change: Callable[[str], str]) -> None:
    """Put something else in the place of what stands between the page's two marks.

    Raises
    ------
    MarksMissingError
        When they are not there, in this order.
    """
    before, old, after = read_page(page)
    page.write_text(f"{before}{BEGIN}\n\n{change(old)}\n{END}{after}", encoding="utf-8")


def read_page(page: Path) -> tuple[str, str, str]:
    """What stands before the marks, between them, and after them; errors of :func:`rewrite`."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    old, end, after = rest.partition(END)
    if not begin or not end:
        raise MarksMissingError(f"{page} has no place for the table: {BEGIN} and {END}")
    return before, old, after
