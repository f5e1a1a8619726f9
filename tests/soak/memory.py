"""Memory: of one long scan, and over many."""

from __future__ import annotations

import csv
import time
from pathlib import Path
from statistics import median

from calibration.phantom import Section
from tests.box import Box
from tests.soak.console import Console
from tests.soak.figures import Choice, Figure, Found
from tests.soak.made import Template
from tests.soak.watching import Taken, most_resident, taken

_LONG, _RATE = 600, 60.0
_MOST_BYTES, _MOST_GROWTH = 2e9, 0.02
#: Scans after which caches are full, and by how many each end of the course is judged.
_WARM, _ENDS = 20, 10
#: From one patient to the next, s: what was freed has gone back to the system by then.
_PAUSE_S = 1.5


def one_long_scan(choice: Choice) -> Found:
    """600 slices of 512 x 512 at 60 slices/s, into a daemon that has just started."""
    template = Template(choice.folder, Section.THIN, _LONG)
    with choice.room() as room, Box(room) as box:
        started = taken(box.process.pid).resident
        sent = Console(template.opening(1), template.slices(1), _RATE).send(box.grpc)
        most = most_resident(box.process.pid)
    figures = [
        Figure("before the first scan, daemon and its readers", started / 1e6, "MB"),
        Figure("most resident while 600 slices came", most / 1e6, "MB", _MOST_BYTES / 1e6),
    ]
    return Found(figures, sent.faults)


def many_scans(choice: Choice) -> Found:
    """Thick scans of 60 slices, one after the other with a pause, each as fast as it is taken."""
    template = Template(choice.folder, Section.THICK, 60)
    found, course = Found(), []
    with choice.room() as room, Box(room) as box:
        for number in range(1, _WARM + choice.scans + 1):
            sent = Console(template.opening(number), template.slices(number), None).send(box.grpc)
            found.faults += sent.faults
            time.sleep(_PAUSE_S)
            course.append(taken(box.process.pid))
    _record(choice.folder / "memory.csv", course)
    before, after = course[_WARM - _ENDS : _WARM], course[-_ENDS:]
    first, last = (median(one.resident for one in end) for end in (before, after))
    found.figures = [
        Figure(f"resident after {_WARM} scans", first / 1e6, "MB"),
        Figure(f"resident after {len(course)} scans", last / 1e6, "MB"),
        Figure("growth", 100 * (last / first - 1), "%", 100 * _MOST_GROWTH),
        _more("further open files", [one.files for one in before], [one.files for one in after]),
        _more("further threads", [one.threads for one in before], [one.threads for one in after]),
    ]
    return found


def _more(name: str, before: list[int], after: list[int]) -> Figure:
    return Figure(name, min(after) - max(before), "", 0)


def _record(path: Path, course: list[Taken]) -> None:
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["scan", "resident_bytes", "files", "threads"])
        for number, one in enumerate(course, start=1):
            rows.writerow([number, one.resident, one.files, one.threads])
