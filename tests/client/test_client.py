from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import grpc
import pytest

from appliance.client import ClientError, Interrupted, OutgoingScan, ScanClient, ScanEvent
from breathhold.v1 import scan_pb2 as pb
from breathhold.v1 import types_pb2
from tests.client.wire_server import Kept, WireServer, with_reason


@dataclass(frozen=True)
class Made:
    sop_instance_uid: str

    def message(self) -> pb.Slice:
        return pb.Slice(raw=pb.RawSlice(sop_instance_uid=self.sop_instance_uid))


@dataclass(frozen=True)
class Unreadable:
    sop_instance_uid: str

    def message(self) -> pb.Slice:
        raise PermissionError(13, "Permission denied", "a file")


UIDS = [f"1.2.3.{number}" for number in range(1, 21)]
OPEN = pb.OpenScan(series_instance_uid="1.2.3", station="test")


def scan(rate: float | None = None) -> OutgoingScan:
    return OutgoingScan(OPEN, [Made(uid) for uid in UIDS], rate)


def send(target: str, sent: OutgoingScan | None = None, patience_s: float = 20) -> list[ScanEvent]:
    with ScanClient(target) as client:
        return list(client.send(sent or scan(), patience_s=patience_s))


T = TypeVar("T")


def of(events: list[ScanEvent], kind: type[T]) -> list[T]:
    return [event for event in events if isinstance(event, kind)]


def test_every_slice_is_sent_once_in_order_and_the_report_comes_last() -> None:
    with WireServer() as server:
        events = send(server.target)
    assert server.kept.calls == [UIDS]
    assert server.kept.opened == [OPEN]
    assert isinstance(events[0], pb.Opened)
    assert [ack.sequence for ack in of(events, pb.Ack)] == list(range(1, 21))
    assert isinstance(events[-1], types_pb2.Report)
    assert events[-1].slices == 20


def test_a_slice_may_stand_twice_in_the_scan() -> None:
    twice = OutgoingScan(OPEN, [Made("1.2.3.1"), Made("1.2.3.1")])
    with WireServer() as server:
        events = send(server.target, twice)
    assert [ack.duplicate for ack in of(events, pb.Ack)] == [False, True]


def test_after_unavailable_only_what_is_not_kept_is_sent_again() -> None:
    kept = Kept()

    def break_off(context: grpc.ServicerContext, count: int) -> None:
        if count == 7 and len(kept.calls) < 3:
            context.abort_with_status(
                with_reason(grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN", "Try again soon.")
            )

    with WireServer(kept, break_off) as server:
        events = send(server.target)
    assert kept.calls == [UIDS[:7], UIDS[7:14], UIDS[14:]]
    interrupted = of(events, Interrupted)
    assert [event.error.reason for event in interrupted] == ["SHUTTING_DOWN"] * 2
    assert events[-1] == types_pb2.Report(scan_id="abc", slices=20)


def test_a_lost_connection_is_taken_up_by_the_next_server() -> None:
    kept, seen = Kept(), threading.Event()

    def stall(context: grpc.ServicerContext, count: int) -> None:
        if count == 5:
            seen.set()
            first.stopping.wait(30)

    with WireServer(kept, stall) as first:
        events: list[ScanEvent] = []
        sender = threading.Thread(target=lambda: events.extend(send(first.target)))
        sender.start()
        assert seen.wait(20)
        first.drop()
        with WireServer(kept, port=first.port):
            sender.join(30)
    assert not sender.is_alive()
    assert of(events, Interrupted)
    assert set(kept.slices) == set(UIDS)
    assert isinstance(events[-1], types_pb2.Report)


def test_what_was_refused_is_not_sent_again() -> None:
    kept = Kept()

    def break_off(context: grpc.ServicerContext, count: int) -> None:
        if count == 4 and len(kept.calls) == 1:
            context.abort(grpc.StatusCode.UNAVAILABLE, "gone")

    with WireServer(kept, break_off, refuse=(UIDS[1],)) as server:
        events = send(server.target)
    assert kept.calls == [UIDS[:4], UIDS[4:]]
    assert [refused.sequence for refused in of(events, pb.SliceRefused)] == [2]


def test_a_finished_scan_is_answered_with_its_report() -> None:
    report = types_pb2.Report(scan_id="abc", slices=3)
    with WireServer(Kept(report=report)) as server:
        events = send(server.target)
    assert server.kept.calls == [[]]
    assert events[-1] == report


def test_patience_ends() -> None:
    with WireServer() as server:
        target = server.target
    began = time.monotonic()
    with pytest.raises(ClientError, match=r"cannot be reached") as caught:
        send(target, patience_s=1.0)
    assert caught.value.passing
    assert time.monotonic() - began < 15


def test_a_refused_scan_is_not_tried_again() -> None:
    def refuse(context: grpc.ServicerContext, count: int) -> None:
        context.abort_with_status(
            with_reason(grpc.StatusCode.FAILED_PRECONDITION, "SCAN_BUSY", "Another one sends it.")
        )

    with WireServer(on_slice=refuse) as server, pytest.raises(ClientError) as caught:
        send(server.target)
    assert len(server.kept.calls) == 1
    error = caught.value
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "SCAN_BUSY")
    assert str(error) == "Another one sends it."
    assert error.metadata == {"why": "test"}


def not_kept(context: grpc.ServicerContext) -> None:
    status = with_reason(grpc.StatusCode.RESOURCE_EXHAUSTED, "NOT_KEPT", "No room.", 0.1)
    context.abort_with_status(status)


def test_slices_that_could_not_be_kept_are_sent_again() -> None:
    full = [3, 5]

    def fill(context: grpc.ServicerContext, count: int) -> None:
        if full and count == full[0]:
            full.pop(0)
            not_kept(context)

    with WireServer(on_slice=fill) as server:
        events = send(server.target)
    assert server.kept.calls == [UIDS[:3], UIDS[3:8], UIDS[8:]]
    assert [event.error.reason for event in of(events, Interrupted)] == ["NOT_KEPT"] * 2
    assert isinstance(events[-1], types_pb2.Report)
    assert events[-1].slices == len(UIDS)


def test_an_appliance_that_keeps_nothing_is_given_up() -> None:
    with WireServer(on_slice=lambda context, count: not_kept(context)) as server:
        began = time.monotonic()
        with pytest.raises(ClientError, match="No room") as caught:
            send(server.target, patience_s=0.8)
    assert caught.value.retry_s == pytest.approx(0.1)
    assert len(server.kept.calls) > 1
    assert time.monotonic() - began < 5


def test_a_file_that_cannot_be_read_ends_the_sending() -> None:
    broken = OutgoingScan(OPEN, [Made("1.2.3.1"), Unreadable("1.2.3.2")])
    with WireServer() as server, pytest.raises(PermissionError):
        send(server.target, broken)


def test_the_rate_is_kept() -> None:
    arrivals: list[float] = []
    with WireServer(on_slice=lambda context, count: arrivals.append(time.monotonic())) as server:
        send(server.target, scan(rate=40))
    assert arrivals[-1] - arrivals[0] >= 19 / 40 - 0.1
    assert max(later - earlier for earlier, later in pairwise(arrivals)) < 0.4


def test_a_caller_that_stops_reading_leaves_no_thread_behind() -> None:
    with WireServer() as server, ScanClient(server.target) as client:
        before = set(threading.enumerate())
        events = client.send(scan(rate=5))
        next(events)
        of_the_call = {thread for thread in threading.enumerate() if "_run" in thread.name} - before
        assert of_the_call
        events.close()
        for thread in of_the_call:
            thread.join(5)
            assert not thread.is_alive()


def test_report_by_either_name() -> None:
    with WireServer() as server, ScanClient(server.target) as client:
        assert client.report("abc").scan_id == "abc"
        assert client.report("1.2.3").scan_id == "abc"
        with pytest.raises(ClientError, match="There is no such scan") as caught:
            client.report("9.9.9")
    assert caught.value.reason == "UNKNOWN_SCAN"
    assert not caught.value.passing


def test_masks_of_a_kind() -> None:
    with WireServer() as server, ScanClient(server.target) as client:
        masks = client.masks("abc", types_pb2.MASK_KIND_LUNG)
    assert [mask.position_mm for mask in masks] == [0, 1, 2]
    assert {mask.kind for mask in masks} == {types_pb2.MASK_KIND_LUNG}


def test_watch_yields_until_the_connection_breaks() -> None:
    with WireServer() as server, ScanClient(server.target) as client:
        board = client.watch()
        news = [next(board).WhichOneof("event") for _ in range(3)]
        server.drop()
        with pytest.raises(ClientError):
            next(board)
    assert news == ["snapshot", "changed", "removed_scan_id"]


def test_an_answer_without_a_word_of_the_appliance_names_the_status() -> None:
    unimplemented = pytest.raises(ClientError, match="UNIMPLEMENTED")
    with WireServer() as server, ScanClient(server.target) as client, unimplemented as caught:
        client.models()
    assert not caught.value.passing
