from __future__ import annotations

import asyncio

from appliance.live.board import Board
from breathhold.v1 import triage_pb2 as pb
from breathhold.v1 import types_pb2


def line(scan_id: str, po: float | None, priority: int = 1, opened: float = 0) -> pb.ScanSummary:
    return pb.ScanSummary(
        scan_id=scan_id,
        priority=priority,  # type: ignore[arg-type]
        scores=types_pb2.Scores(po=po),
        opened_unix_s=opened,
    )


def test_worst_first() -> None:
    board = Board()
    lines = [
        line("mild", 1.0),
        line("unscored", None),
        line("severe", 40.0),
        line("urgent", 0.5, priority=3),
        line("clear", 0.0),
    ]
    for summary in lines:
        board.show(summary.scan_id, lambda summary=summary: summary)  # type: ignore[misc]
    order = [summary.scan_id for summary in board.summaries()]
    assert order == ["urgent", "severe", "mild", "clear", "unscored"]


def test_a_watcher_gets_a_snapshot_then_the_newest_state_of_what_changed() -> None:
    async def scenario() -> list[pb.WatchResponse]:
        board = Board()
        po = {"a": 1.0}
        board.show("a", lambda: line("a", po["a"]))
        seen: list[pb.WatchResponse] = []
        async for response in board.watch():
            seen.append(response)
            match len(seen):
                case 1:
                    for value in (2.0, 3.0, 4.0):
                        po["a"] = value
                        board.touch("a")
                case 2:
                    board.remove("a")
                case 3:
                    break
        return seen

    snapshot, changed, removed = asyncio.run(asyncio.wait_for(scenario(), 5))
    assert [summary.scan_id for summary in snapshot.snapshot.scans] == ["a"]
    assert changed.changed.scores.po == 4.0
    assert removed.removed_scan_id == "a"
