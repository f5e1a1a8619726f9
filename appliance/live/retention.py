"""What was kept long enough, whatever the wall clock says for a while.

Reports and slices age by the box's own time: it runs with the daemon, by a clock that nobody sets.
For how long the box was off only the wall clock can say. It is believed once it ran evenly for
some hours; then the time between is added, unless it is negative or longer than a box is off.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection

from appliance.storage.ages import Ages, Believed, BoxTime
from appliance.storage.results import ResultsStore

#: The wall clock is believed when it was not set for so long, s.
SETTLED_S = 6 * 3600.0
#: Two looks at the clocks that differ by more tell that it was set, s.
_STEP_S = 60.0
#: A box that seems to have been off for longer has a wrong clock, s.
_LONGEST_OFF_S = 60 * 86400.0


def _wall() -> float:
    return time.time()


def _elapsed() -> float:
    """Seconds of a clock that nobody sets, and that goes on while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Retention:
    """How long reports have been kept. Used from the event loop only.

    Parameters
    ----------
    results
        Where they are.
    wall
        Seconds since 1970, perhaps wrong.
    elapsed
        Seconds that passed, since whenever.

    Raises
    ------
    StorageError
        Every method may raise this.
    """

    def __init__(
        self,
        results: ResultsStore,
        wall: Callable[[], float] = _wall,
        elapsed: Callable[[], float] = _elapsed,
    ) -> None:
        self._results, self._ages = results, Ages(results)
        self._wall, self._elapsed = wall, elapsed
        self._started = self._steady_since = elapsed()
        self._offset = wall() - self._started
        self._known: BoxTime | None = None
        self._known_at = self._started
        self._settled = False

    async def look(self) -> None:
        """Look at the clocks; now and then."""
        elapsed = self._elapsed()
        known = self._known
        if known is None:
            known = await self._results.run(self._ages.load)
        now_s = known.s + elapsed - self._known_at
        if not self._runs_evenly(elapsed):
            await self._save(BoxTime(now_s, known.believed), elapsed)
            return
        unix_s = self._offset + elapsed
        off_s = 0.0 if self._settled else _off_s(known.believed, Believed(unix_s, now_s))
        since_s = known.believed.s if known.believed else 0.0
        now = BoxTime(now_s + off_s, Believed(unix_s, now_s + off_s))
        await self._save(now, elapsed, off_s, since_s)
        self._settled = True

    async def kept_longer_than(self, keep_s: float) -> list[str]:
        """Return the scans whose reports were kept for longer, at the last look; oldest first."""
        known = self._known or BoxTime()
        return await self._results.run(self._ages.kept_before, known.s - keep_s)

    async def kept(self) -> list[str]:
        """Return all scans that were reported before the last look, the oldest first."""
        return await self._results.run(self._ages.kept_before, math.inf)

    async def aside_longer_than(self, names: Collection[str], keep_s: float) -> list[str]:
        """Return those of all damaged logs and files that lay aside for longer at the last look."""
        now_s = (self._known or BoxTime()).s
        return await self._results.run(self._ages.aside_before, names, now_s, now_s - keep_s)

    async def _save(
        self, now: BoxTime, elapsed: float, off_s: float = 0.0, since_s: float = 0.0
    ) -> None:
        await self._results.run(self._ages.save, now, off_s, since_s)
        self._known, self._known_at = now, elapsed

    def _runs_evenly(self, elapsed: float) -> bool:
        """Whether nobody set the wall clock for hours."""
        offset = self._wall() - elapsed
        if abs(offset - self._offset) > _STEP_S:
            self._steady_since = elapsed
        self._offset = offset
        return elapsed - self._steady_since >= SETTLED_S


def _off_s(before: Believed | None, now: Believed) -> float:
    """For how long the box was off in between, s; 0 where the wall clock cannot be right."""
    if before is None:
        return 0.0
    off_s = (now.unix_s - before.unix_s) - (now.s - before.s)
    return off_s if 0 < off_s <= _LONGEST_OFF_S else 0.0
