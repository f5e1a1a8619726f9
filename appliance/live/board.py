"""The triage board: one line for every scan, and who watches it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from breathhold.v1 import triage_pb2 as pb
from breathhold.v1 import types_pb2

#: Changes of one scan reach a watcher no closer together than this, s.
CHANGE_INTERVAL_S = 0.2


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
    """Every scan known to the appliance. Used from the event loop only."""

    def __init__(self) -> None:
        self._lines: dict[str, Callable[[], pb.ScanSummary]] = {}
        self._watchers: set[Watcher] = set()

    def show(self, scan_id: str, line: Callable[[], pb.ScanSummary]) -> None:
        """Put a scan on the board; `line` makes its newest summary when someone looks."""
        self._lines[scan_id] = line
        self.touch(scan_id)

    def touch(self, scan_id: str) -> None:
        """Tell the watchers that a scan changed."""
        for watcher in self._watchers:
            watcher.changed[scan_id] = None
            watcher.news.set()

    def remove(self, scan_id: str) -> None:
        if self._lines.pop(scan_id, None):
            self.touch(scan_id)

    def summaries(self) -> list[pb.ScanSummary]:
        """All scans, worst first."""
        return sorted((line() for line in list(self._lines.values())), key=worst_first)

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
        line = self._lines.get(scan_id)
        if line is None:
            return pb.WatchResponse(removed_scan_id=scan_id)
        return pb.WatchResponse(changed=line())
