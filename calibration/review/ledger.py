"""The ledger of a review folder: one JSON object a line, added to, never changed.

A line without an end is of an entry that was never finished: it does not count, and the
next entry takes its place.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

Entry = dict[str, object]


class Ledger:
    """What was imported and trained, in the order in which it happened.

    Parameters
    ----------
    path
        The file; made with the first entry.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, entry: Mapping[str, object]) -> Entry:
        """Keep an entry with the time; returns when it is on the disk."""
        whole: Entry = {"time": datetime.now(UTC).isoformat(timespec="seconds"), **entry}
        line = json.dumps(whole, allow_nan=False).encode() + b"\n"
        with self.path.open("ab+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        return whole

    def entries(self, event: str | None = None) -> list[Entry]:
        """All entries, or those of one event.

        Raises
        ------
        ValueError
            When a line is no entry.
        """
        if not self.path.is_file():
            return []
        lines = self.path.read_bytes().split(b"\n")[:-1]
        found = [self._entry(number, line) for number, line in enumerate(lines, 1) if line.strip()]
        return [one for one in found if event in (None, one["event"])]

    def _entry(self, number: int, line: bytes) -> Entry:
        try:
            entry = json.loads(line)
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{self.path}: line {number} is no JSON: {error}") from error
        if not isinstance(entry, dict) or "event" not in entry:
            raise ValueError(f"{self.path}: line {number} is no entry")
        return entry

    @property
    def iteration(self) -> int:
        """Trainings so far."""
        return len(self.entries("trained"))

    def minutes(self, scans: list[str]) -> float:
        """What was spent on correcting scans, as far as it was told."""
        told = [
            entry.get("minutes") for entry in self.entries("imported") if entry.get("scan") in scans
        ]
        return sum(float(one) for one in told if isinstance(one, (int, float)))
