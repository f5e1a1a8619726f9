from __future__ import annotations

import io

import grpc
import pytest
from rich.console import Console

from appliance.cli.sending.display import LiveBoard, PlainLines, display
from appliance.client import ClientError, Interrupted, ScanEvent
from breathhold.v1 import scan_pb2 as pb
from breathhold.v1 import types_pb2

RUNNING = pb.RunningScore(
    scores=types_pb2.Scores(po=12.5, pho=2.5), slices_received=8, slices_inferred=4
)
REFUSED = pb.SliceRefused(refusal=types_pb2.Refusal(message="It is no CT image."))
EVENTS: list[ScanEvent] = [
    pb.Opened(kept_sop_instance_uids=["1"]),
    pb.Ack(),
    RUNNING,
    REFUSED,
    REFUSED,
    types_pb2.Warning(message="A gap."),
    Interrupted(ClientError(grpc.StatusCode.UNAVAILABLE, "", "Gone."), 0.2),
]


def test_plain_lines_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with display(10, json=False) as shown:
        assert isinstance(shown, PlainLines)
        for event in EVENTS:
            shown.show(event)
    assert capsys.readouterr().out.splitlines() == [
        "The appliance keeps 1 slices of this scan.",
        "received 8/10, inferred 4  PO 12.5 %  PHO 2.5 %",
        "Refused: It is no CT image.",
        "Warning: A gap.",
        "Gone. Trying again.",
    ]


def test_an_outage_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    with display(10, json=False) as shown:
        for event in (EVENTS[-1], EVENTS[-1], REFUSED, EVENTS[-1]):
            shown.show(event)
    assert capsys.readouterr().out.count("Trying again") == 2


def test_running_scores_come_a_line_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    with display(10, json=False) as shown:
        for _ in range(50):
            shown.show(RUNNING)
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_a_terminal_gets_bars_and_scores() -> None:
    out = Console(force_terminal=True, width=100, record=True, file=io.StringIO())
    with LiveBoard(out, 10) as shown:
        for event in EVENTS:
            shown.show(event)
    text = out.export_text()
    for part in ("8/10", "4/10", "PO 12.5 %", "It is no CT image. (2 times)", "A gap."):
        assert part in text
