"""What a daemon and the processes that it started take of the machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psutil

_KILOBYTE = 1024


@dataclass(frozen=True, slots=True)
class Taken:
    """Of the daemon and all below it; bytes, a number of open files and one of threads."""

    resident: int
    files: int
    threads: int


def taken(pid: int) -> Taken:
    family = _family(pid)
    return Taken(
        sum(_status(one.pid, "VmRSS") * _KILOBYTE for one in family),
        sum(one.num_fds() for one in family),
        sum(one.num_threads() for one in family),
    )


def most_resident(pid: int) -> int:
    """The sum of what each took at its own peak, bytes: no less than all took at once."""
    return sum(_status(one.pid, "VmHWM") * _KILOBYTE for one in _family(pid))


def _family(pid: int) -> list[psutil.Process]:
    head = psutil.Process(pid)
    return [head, *head.children(recursive=True)]


def _status(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = [one for one in lines if one.startswith(f"{name}:")]
    return int(line.split()[1])
