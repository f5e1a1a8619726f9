"""Scans on their way to an appliance, shown as they go."""

from __future__ import annotations

import time
from collections import Counter
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from appliance.cli.showing.output import console, print_json
from appliance.cli.showing.records import event_record, running_record
from appliance.cli.showing.tables import percent, pho_of, po_of, po_style
from appliance.client.sending import Interrupted, ScanEvent
from breathhold.v1 import scan_pb2, types_pb2

_LINE_INTERVAL_S = 1.0


class Display(Protocol):
    """Shows the events of one scan; a context manager around them."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def show(self, event: ScanEvent) -> None:
        """One event."""
        ...


def display(total: int, *, json: bool) -> Display:
    """The display that fits: JSON lines, a live board on a terminal, else plain lines."""
    if json:
        return JsonLines()
    out = console()
    return LiveBoard(out, total) if out.is_terminal else PlainLines(out, total)


class _Quiet:
    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return None


class JsonLines(_Quiet):
    """One object a line."""

    def show(self, event: ScanEvent) -> None:
        if record := event_record(event):
            print_json(record)


class PlainLines(_Quiet):
    """A line a second, for logs and pipes."""

    def __init__(self, out: Console, total: int) -> None:
        self._out, self._total = out, total
        self._due = 0.0
        self._interrupted = False
        self._said: set[str] = set()

    def show(self, event: ScanEvent) -> None:
        """What was said before is not said again, an outage once however long it lasts."""
        again = isinstance(event, Interrupted) and self._interrupted
        self._interrupted = isinstance(event, Interrupted)
        if isinstance(event, scan_pb2.RunningScore):
            if time.monotonic() >= self._due:
                self._due = time.monotonic() + _LINE_INTERVAL_S
                self._print(f"{_counts(event, self._total)}  {_scores(event.scores)}")
        elif (sentence := _sentence(event)) and not again:
            if self._interrupted or sentence not in self._said:
                self._print(sentence)
            self._said.add(sentence)

    def _print(self, line: str) -> None:
        self._out.print(line, soft_wrap=True, markup=False)


class LiveBoard:
    """A progress bar, the running scores, and what was said, redrawn in place."""

    def __init__(self, out: Console, total: int) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=out,
        )
        self._received = self._progress.add_task("received", total=total)
        self._inferred = self._progress.add_task("inferred", total=total)
        self._scores = types_pb2.Scores()
        self._said: Counter[str] = Counter()
        self._live = Live(console=out, get_renderable=self._draw, refresh_per_second=8)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.__exit__(kind, error, traceback)

    def show(self, event: ScanEvent) -> None:
        if isinstance(event, scan_pb2.RunningScore):
            self._scores = event.scores
            self._progress.update(self._received, completed=event.slices_received)
            self._progress.update(self._inferred, completed=event.slices_inferred)
        elif sentence := _sentence(event):
            self._said[sentence] += 1

    def _draw(self) -> RenderableType:
        said = [
            Text(sentence if count == 1 else f"{sentence} ({count} times)", "yellow")
            for sentence, count in self._said.items()
        ]
        scores = Text(f"running  {_scores(self._scores)}", po_style(po_of(self._scores)))
        return Group(*said[-8:], self._progress, scores)


def _counts(running: scan_pb2.RunningScore, total: int) -> str:
    record = running_record(running)
    return f"received {record['slices_received']}/{total}, inferred {record['slices_inferred']}"


def _scores(scores: types_pb2.Scores) -> str:
    return f"PO {percent(po_of(scores))}  PHO {percent(pho_of(scores))}"


def _sentence(event: ScanEvent) -> str:
    """What people should read of an event; empty when nothing."""
    if isinstance(event, scan_pb2.SliceRefused):
        return f"Refused: {event.refusal.message}"
    if isinstance(event, types_pb2.Warning):
        return f"Warning: {event.message}"
    if isinstance(event, Interrupted):
        return f"{event.error} Trying again."
    if isinstance(event, scan_pb2.Opened) and event.kept_sop_instance_uids:
        return f"The appliance keeps {len(event.kept_sop_instance_uids)} slices of this scan."
    return ""
