"""What the triage page polls."""

from __future__ import annotations

import json
from typing import Any

from appliance.live.board import Board
from appliance.serve.triage_lines import SHOWN, TriageLines
from breathhold.v1 import triage_pb2 as pb
from breathhold.v1 import types_pb2


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def line(name: str, po: float | None = None, *, running: bool = False) -> pb.ScanSummary:
    return pb.ScanSummary(scan_id=name, scores=types_pb2.Scores(po=po), running=running)


def read(lines: TriageLines) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(lines.json())
    return found


def test_those_that_go_on_and_the_last_that_ended_worst_first() -> None:
    board = Board()
    for number in range(SHOWN + 7):
        board.show_ended(line(f"ended {number}", number / 10))
    board.show("goes on", lambda: line("goes on", 3.05, running=True))
    found = read(TriageLines(board))
    names = [one["scan_id"] for one in found["scans"]]
    assert found["more"] == 7
    assert len(names) == SHOWN + 1
    assert names[0] == f"ended {SHOWN + 6}"
    assert names[-1] == "ended 7"
    place = names.index("goes on")
    assert names[place - 1 : place + 2] == ["ended 31", "goes on", "ended 30"]


def test_all_who_ask_within_a_second_get_the_same_bytes() -> None:
    board, clock, made = Board(), Clock(), 0

    def summary() -> pb.ScanSummary:
        nonlocal made
        made += 1
        return line("a", float(made), running=True)

    board.show("a", summary)
    lines = TriageLines(board, clock)
    assert len({lines.json() for _ in range(100)}) == 1
    assert made == 1
    clock.now = 1.0
    assert read(lines)["scans"][0]["scores"]["po"] == 2.0


def test_a_line_that_ended_is_made_once_and_anew_when_it_is_another() -> None:
    board, clock = Board(), Clock()
    lines = TriageLines(board, clock)
    for number, po in enumerate((1.0, 2.0)):
        board.show_ended(line("a", po))
        clock.now = float(number)
        assert [one["scores"]["po"] for one in read(lines)["scans"]] == [po]
    board.remove("a")
    clock.now = 5.0
    assert read(lines) == {"scans": [], "more": 0}
