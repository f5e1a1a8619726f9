"""The triage board: one line a scan, and who watches it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable

from breathhold.v1 import triage_pb2 as pb
from breathhold.v1 import types_pb2

#: Changes of one scan reach a watcher no closer together than this, s.
CHANGE_INTERVAL_S = 0.2
#: Lines of scans that ended: some days of a busy box.
MOST_ENDED = 1000


def worst_first(summary: pb.ScanSummary) -> tuple[int, float, float]:
    """Sort key: by priority, then by PO, highest first; scans without score last."""
    po = summary.scores.po if summary.scores.HasField("po") else -1.0
    priority = summary.priority or types_pb2.PRIORITY_ROUTINE
    return -priority, -po, summary.opened_unix_s


class Watcher:
    """The scans that changed since this watcher last looked."""

    def __init__(self) -> None:
        self.changed: dict[str, None] = {}
        self.news = asyncio.Event()


class Board:
    """Scans in progress, and those that ended last. Used from the event loop only.

    Parameters
    ----------
    most_ended
        Lines of scans that ended; the results store has those before.
    """

    def __init__(self, most_ended: int = MOST_ENDED) -> None:
        self.most_ended = most_ended
        self._lines: dict[str, Callable[[], pb.ScanSummary]] = {}
        self._ended: dict[str, pb.ScanSummary] = {}  # the one that ended last comes last
        self._watchers: set[Watcher] = set()

    def show(self, scan_id: str, line: Callable[[], pb.ScanSummary]) -> None:
        """Put a scan in progress on the board; `line` makes its newest summary."""
        self._ended.pop(scan_id, None)
        self._lines[scan_id] = line
        self.touch(scan_id)

    def show_ended(self, summary: pb.ScanSummary) -> None:
        """Put a scan on the board that ended just now; its line is the last one it had."""
        scan_id = summary.scan_id
        self._lines.pop(scan_id, None)
        self._ended.pop(scan_id, None)
        self._ended[scan_id] = summary
        self.touch(scan_id)
        if len(self._ended) > self.most_ended:
            self.remove(next(iter(self._ended)))

    def touch(self, scan_id: str) -> None:
        """Tell the watchers that a scan changed."""
        for watcher in self._watchers:
            watcher.changed[scan_id] = None
            watcher.news.set()

    def remove(self, scan_id: str) -> None:
        line, ended = self._lines.pop(scan_id, None), self._ended.pop(scan_id, None)
        if line or ended:
            self.touch(scan_id)

    def __contains__(self, scan_id: str) -> bool:
        return scan_id in self._lines or scan_id in self._ended

    def in_progress(self) -> list[pb.ScanSummary]:
        """Scans that go on, in no order."""
        return [line() for line in list(self._lines.values())]

    def ended(self, most: int | None = None) -> list[pb.ScanSummary]:
        """Scans that ended, or so many of them; the last one first."""
        return list(itertools.islice(reversed(self._ended.values()), most))

    def summaries(self) -> list[pb.ScanSummary]:
        """All scans on the board, worst first."""
        return sorted(self.in_progress() + self.ended(), key=worst_first)

    async def watch(self) -> AsyncIterator[pb.WatchResponse]:
        """A snapshot, then the changes; a slow watcher gets the newest state of each scan."""
        watcher = Watcher()
        self._watchers.add(watcher)
        try:
            yield pb.WatchResponse(snapshot=pb.Snapshot(scans=self.summaries()))
            while True:
                await watcher.news.wait()
                watcher.news.clear()
                changed, watcher.changed = watcher.changed, {}
                for scan_id in changed:
                    yield self._change(scan_id)
                await asyncio.sleep(CHANGE_INTERVAL_S)
        finally:
            self._watchers.discard(watcher)

    def _change(self, scan_id: str) -> pb.WatchResponse:
        if line := self._lines.get(scan_id):
            return pb.WatchResponse(changed=line())
        if ended := self._ended.get(scan_id):
            return pb.WatchResponse(changed=ended)
        return pb.WatchResponse(removed_scan_id=scan_id)
