"""Events that repeat: the first ones as they are, the rest as one line with their number.

A page that asks every second, and a caller that is turned away a hundred times a second, must not
push out of the trail what others did. Pure: no clock, no file.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Line = Mapping[str, Any]


class Pace(NamedTuple):
    """How many like events are written one by one, and after how long one may be again, s."""

    first: int
    every_s: float


@dataclass(slots=True)
class Repeat:
    """Like events.

    Parameters
    ----------
    ends
        When what was counted is written down, and the first ones are again written one by one, s.
    """

    pace: Pace
    ends: float
    written: int = 0
    count: int = 0
    _since: Line = field(default_factory=dict)
    _last: Line = field(default_factory=dict)

    @property
    def full(self) -> bool:
        """Whether further ones are only counted."""
        return self.written >= self.pace.first

    def add(self, line: Line) -> None:
        """Count one that is not written by itself."""
        if not self.count:
            self._since = line
        self._last = line
        self.count += 1

    @property
    def summed(self) -> Line:
        """The last one counted, with how many there were since when."""
        return {**self._last, "Count": self.count, "Since": self._since["EventDateTime"]}

    def begin_anew(self, now: float) -> None:
        """What was counted is written down: that is the one line of the time that begins."""
        self.written, self.count = self.pace.first, 0
        self.ends = now + self.pace.every_s

    def try_again(self, now: float) -> None:
        """It could not be written down now."""
        self.ends = now + self.pace.every_s


class Repeats:
    """A bounded table of them.

    Parameters
    ----------
    most
        Further ones find no place.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: dict[Hashable, Repeat] = {}

    def find(self, key: Hashable, pace: Pace, now: float) -> Repeat | None:
        """Those like this one; None when the table is full.

        Parameters
        ----------
        now
            s, on a clock that only goes forward.
        """
        if key in self._known or len(self._known) < self._most:
            return self.find_always(key, pace, now)
        return None

    def find_always(self, key: Hashable, pace: Pace, now: float) -> Repeat:
        """The same, with a place in a full table, too: for keys of which there are few."""
        if key not in self._known:
            self._known[key] = Repeat(pace, now + pace.every_s)
        return self._known[key]

    def due(self, now: float) -> Iterator[Repeat]:
        """Those with something to write down; the others whose time is over are forgotten."""
        over = [(key, repeat) for key, repeat in self._known.items() if now >= repeat.ends]
        for key, repeat in over:
            if repeat.count:
                yield repeat
            else:
                del self._known[key]
