"""What was measured, beside what it may be at most."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a part.

    Parameters
    ----------
    most
        What it may be; None: nothing is promised of it.
    """

    name: str
    value: float
    unit: str
    most: float | None = None

    @property
    def kept(self) -> bool:
        return self.most is None or self.value <= self.most

    def __str__(self) -> str:
        line = f"  {self.name:58} {self.value:10.4g} {self.unit}"
        if self.most is not None:
            line += f" (at most {self.most:g})" + ("" if self.kept else "  MISSED")
        return line


@dataclass(frozen=True, slots=True)
class Choice:
    """What is asked of every part.

    Parameters
    ----------
    folder
        For phantoms, state folders and records.
    kills, scans
        How many.
    """

    folder: Path
    kills: int
    scans: int

    @contextmanager
    def room(self) -> Iterator[Path]:
        """An empty folder for a daemon, which is gone afterwards."""
        with TemporaryDirectory(prefix="room-", dir=self.folder) as room:
            yield Path(room)


@dataclass(slots=True)
class Found:
    """What a part came to; faults are sentences."""

    figures: list[Figure] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def kept(self) -> bool:
        return not self.faults and all(figure.kept for figure in self.figures)


def quantile(values: list[float], share: float) -> float:
    """The value that so large a share does not exceed: one that was measured, none between."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def load() -> str:
    """What else the machine does, to be said beside each figure."""
    cores = len(os.sched_getaffinity(0))
    return f"load {os.getloadavg()[0]:.1f} on {cores} cores"
