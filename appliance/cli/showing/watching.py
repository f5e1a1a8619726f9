"""The triage board, followed."""

from __future__ import annotations

import time
from collections.abc import Iterator

from rich.live import Live

from appliance.cli.connection import connect
from appliance.cli.showing.output import console, print_json
from appliance.cli.showing.records import summary_record
from appliance.cli.showing.tables import board_view
from appliance.client import ClientError, ScanClient
from appliance.live.board import worst_first
from breathhold.v1 import triage_pb2 as pb

_RETRY_S = 2.0


class BoardCopy:
    """The scans as the appliance last told of them."""

    def __init__(self) -> None:
        self._scans: dict[str, pb.ScanSummary] = {}

    def apply(self, news: pb.WatchResponse) -> None:
        match news.WhichOneof("event"):
            case "snapshot":
                self._scans = {scan.scan_id: scan for scan in news.snapshot.scans}
            case "changed":
                self._scans[news.changed.scan_id] = news.changed
            case "removed_scan_id":
                self._scans.pop(news.removed_scan_id, None)
            case _:
                pass

    def worst_first(self) -> list[pb.ScanSummary]:
        return sorted(self._scans.values(), key=worst_first)


def print_once(to: str, *, json: bool) -> None:
    """The board as it is now."""
    board = BoardCopy()
    with connect(to) as client:
        board.apply(next(client.watch()))
    if not json:
        console().print(board_view(board.worst_first()))
        return
    for summary in board.worst_first():
        print_json(summary_record(summary))


def watch_json(to: str) -> None:
    """One object for each scan, then one for each change."""
    with connect(to) as client:
        for news in client.watch():
            for record in _records(news):
                print_json(record)


def _records(news: pb.WatchResponse) -> Iterator[dict[str, object]]:
    if news.HasField("snapshot"):
        yield from (summary_record(scan) for scan in news.snapshot.scans)
    elif news.HasField("changed"):
        yield summary_record(news.changed)
    elif news.HasField("removed_scan_id"):
        yield {"event": "removed", "scan_id": news.removed_scan_id}


def watch_live(to: str) -> None:
    """The board redrawn at each change until Ctrl-C, across restarts of the appliance."""
    board = BoardCopy()
    with connect(to) as client, Live(console=console(), refresh_per_second=4) as live:
        try:
            while True:
                live.update(board_view(board.worst_first(), _follow(client, board, live)))
                time.sleep(_RETRY_S)
        except KeyboardInterrupt:
            return


def _follow(client: ScanClient, board: BoardCopy, live: Live) -> str:
    """Show changes until the connection breaks; say how it broke."""
    try:
        for news in client.watch():
            board.apply(news)
            live.update(board_view(board.worst_first(), client.target))
    except ClientError as error:
        if not error.passing:
            raise
        return str(error)
    return "The appliance ended the call."
