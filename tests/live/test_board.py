from __future__ import annotations

import asyncio
from pathlib import Path

from appliance.live.board import Board
from breathhold.v1 import triage_pb2 as pb
from breathhold.v1 import types_pb2
from tests.live.test_scans import live_scans


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


def test_the_board_forgets_what_ended_first_and_nothing_that_goes_on() -> None:
    board = Board(most_ended=2)
    board.show("goes on", lambda: line("goes on", 1.0))
    for name in ("first", "second", "third"):
        board.show(name, lambda name=name: line(name, None))  # type: ignore[misc]
    for name in ("first", "second", "third"):
        board.show_ended(line(name, 2.0))
    assert "first" not in board
    assert [one.scan_id for one in board.ended()] == ["third", "second"]
    assert [one.scan_id for one in board.in_progress()] == ["goes on"]
    board.show("third", lambda: line("third", None))  # it is taken up again
    assert [one.scan_id for one in board.ended(1)] == ["second"]
    assert len(board.summaries()) == 3


def test_watchers_hear_that_a_line_had_to_go() -> None:
    async def scenario() -> list[pb.WatchResponse]:
        board = Board(most_ended=1)
        board.show_ended(line("a", 1.0))
        seen: list[pb.WatchResponse] = []
        async for response in board.watch():
            seen.append(response)
            if len(seen) == 1:
                board.show_ended(line("b", 2.0))
            if len(seen) == 3:
                break
        return seen

    _, changed, removed = asyncio.run(asyncio.wait_for(scenario(), 5))
    assert changed.changed.scan_id == "b"
    assert removed.removed_scan_id == "a"


def test_after_a_restart_those_that_ended_last_are_on_the_board(tmp_path: Path) -> None:
    async def scenario() -> list[str]:
        async with live_scans(tmp_path) as scans:
            services = scans._services
            for number in (3, 1, 5, 2, 4):
                services.results.save_summary(
                    pb.ScanSummary(
                        scan_id=f"scan {number}",
                        series_instance_uid=f"1.2.{number}",
                        updated_unix_s=number,
                    )
                )
            services.board.most_ended = 3
            await scans.show_finished()
            return [one.scan_id for one in services.board.ended()]

    assert asyncio.run(scenario()) == ["scan 5", "scan 4", "scan 3"]
