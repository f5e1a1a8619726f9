"""Steady rates: several consoles at once, and one fast one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from calibration.phantom import Section
from tests.box import Box
from tests.soak.console import Console, Sent
from tests.soak.figures import Choice, Figure, Found, quantile
from tests.soak.made import Template

_CONSOLES, _TOGETHER, _SLICES = 8, 40.0, 300
_FAST, _FAST_SLICES, _FAST_SCANS = 60.0, 600, 3
_MOST_ACK_S = 0.05


def consoles(choice: Choice) -> Found:
    """Eight thin scans of 300 slices at the same time, 40 slices/s in total."""
    template = Template(choice.folder, Section.THIN, _SLICES)
    with (
        choice.room() as room,
        Box(room) as box,
        ThreadPoolExecutor(_CONSOLES) as threads,
    ):
        sending = [
            Console(template.opening(number), template.slices(number), _TOGETHER / _CONSOLES)
            for number in range(1, _CONSOLES + 1)
        ]
        sent = list(threads.map(lambda console: console.send(box.grpc), sending))
    return Found([_refused(sent), *_times(sent)], _faults(sent))


def acknowledgements(choice: Choice) -> Found:
    """Thin scans of 600 slices, one after the other, at 60 slices/s."""
    template = Template(choice.folder, Section.THIN, _FAST_SLICES)
    with choice.room() as room, Box(room) as box:
        sent = [
            Console(template.opening(number), template.slices(number), _FAST).send(box.grpc)
            for number in range(1, _FAST_SCANS + 1)
        ]
    return Found(_times(sent, _MOST_ACK_S), _faults(sent))


def _refused(sent: list[Sent]) -> Figure:
    return Figure("slices refused", sum(len(one.refused) for one in sent), "", 0)


def _times(sent: list[Sent], most_s: float | None = None) -> list[Figure]:
    acks = [seconds for one in sent for seconds in one.acks_s]
    last = [one.last_to_report_s for one in sent if one.last_to_report_s is not None]
    if not acks:
        return [Figure("slices acknowledged", 0, "")]
    return [
        Figure("slices acknowledged", len(acks), ""),
        Figure("a slice to its acknowledgement, median", 1e3 * quantile(acks, 0.5), "ms"),
        Figure(
            "a slice to its acknowledgement, p99",
            1e3 * quantile(acks, 0.99),
            "ms",
            None if most_s is None else 1e3 * most_s,
        ),
        Figure("a slice to its acknowledgement, longest", 1e3 * max(acks), "ms"),
        Figure("the sender behind its own time, at most", max(one.behind_s for one in sent), "s"),
        Figure("last slice to report, longest", max(last, default=0.0), "s"),
    ]


def _faults(sent: list[Sent]) -> list[str]:
    return [fault for one in sent for fault in one.faults]
