"""For how long each report has been kept, by a time of the box's own, in the results database.

The wall clock may be wrong for a while: a report must not grow old by that. The box's own time
goes on while the box runs, and is only told afterwards for how long it was off.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from appliance.storage.results import ResultsStore

_SAVE = """
    INSERT INTO box_time (one, now_s, believed_unix_s, believed_s) VALUES (1, ?, ?, ?)
    ON CONFLICT (one) DO UPDATE SET
        now_s = excluded.now_s, believed_unix_s = excluded.believed_unix_s,
        believed_s = excluded.believed_s
"""


@dataclass(frozen=True, slots=True)
class Believed:
    """A moment at which the wall clock was believed, on both clocks, s."""

    unix_s: float
    s: float


@dataclass(frozen=True, slots=True)
class BoxTime:
    """The box's own time.

    Parameters
    ----------
    s
        Since the first start, as far as it is known how long the box was off, s.
    believed
        The last such moment; None: there was none.
    """

    s: float = 0.0
    believed: Believed | None = None


class Ages:
    """Since when each report is kept. Methods block, and raise as those of the store."""

    def __init__(self, results: ResultsStore) -> None:
        self._results = results

    def load(self) -> BoxTime:
        """Return the box's own time as it was saved last."""
        with self._results.change() as connection:
            found = connection.execute(
                "SELECT now_s, believed_unix_s, believed_s FROM box_time"
            ).fetchone()
        if not found:
            return BoxTime()
        now_s, unix_s, believed_s = found
        return BoxTime(now_s, None if unix_s is None else Believed(unix_s, believed_s))

    def save(self, time: BoxTime, off_s: float = 0.0, since_s: float = 0.0) -> None:
        """Save the box's own time; reports that came since the last time are kept from now on.

        Parameters
        ----------
        time
            As it is now.
        off_s
            By how much it was put on, because the box was off, s.
        since_s
            Reports since then, by the box's own time, do not grow older by that.
        """
        believed = time.believed
        with self._results.change() as connection:
            if off_s:
                shift = "UPDATE scans SET kept_s = kept_s + ? WHERE kept_s >= ?"
                connection.execute(shift, (off_s, since_s))
                shift = "UPDATE set_aside SET kept_s = kept_s + ? WHERE kept_s >= ?"
                connection.execute(shift, (off_s, since_s))
            new = "UPDATE scans SET kept_s = ? WHERE kept_s IS NULL AND report IS NOT NULL"
            connection.execute(new, (time.s,))
            pair = (believed.unix_s, believed.s) if believed else (None, None)
            connection.execute(_SAVE, (time.s, *pair))

    def kept_before(self, s: float) -> list[str]:
        """Return the scans whose reports are kept since before then, the oldest first."""
        query = "SELECT scan_id FROM scans WHERE kept_s < ? ORDER BY kept_s, scan_id"
        with self._results.change() as connection:
            return [scan_id for (scan_id,) in connection.execute(query, (s,))]

    def aside_before(self, names: Collection[str], now_s: float, s: float) -> list[str]:
        """Return those of the damaged logs and files that lie aside since before then.

        Parameters
        ----------
        names
            All that lie there; those not seen before are kept from now on.
        now_s, s
            Now, and then, by the box's own time, s.
        """
        with self._results.change() as connection:
            found = dict(connection.execute("SELECT name, kept_s FROM set_aside").fetchall())
            gone = [(name,) for name in found if name not in names]
            connection.executemany("DELETE FROM set_aside WHERE name = ?", gone)
            new = [(name, now_s) for name in names if name not in found]
            connection.executemany("INSERT INTO set_aside VALUES (?, ?)", new)
        return [name for name in names if found.get(name, now_s) < s]
