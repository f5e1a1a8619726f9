"""Several scans at once."""

from __future__ import annotations

import threading
from pathlib import Path

import grpc

from breathhold.v1 import scan_pb2 as pb
from breathhold.v1 import types_pb2
from tests.box import Answers, Call, send_scan
from tests.forked import ForkedBox
from tests.made_scans import raw_slices


def opening(series: str, priority: types_pb2.Priority.ValueType) -> pb.OpenScan:
    return pb.OpenScan(series_instance_uid=series, station=series, priority=priority)


def test_two_scans_at_once_both_end_as_if_alone(repository: Path, tmp_path: Path) -> None:
    with ForkedBox(tmp_path / "alone", repository) as box:
        alone = {
            name: send_scan(box.grpc, opening(name, 1), raw_slices(300, 1.0, name)).final_report
            for name in ("1.1", "1.2")
        }
    together: dict[str, types_pb2.Report] = {}

    def send(name: str) -> None:
        slices = raw_slices(300, 1.0, name)
        together[name] = send_scan(box.grpc, opening(name, 1), slices).final_report

    with ForkedBox(tmp_path / "together", repository) as box:
        threads = [threading.Thread(target=send, args=(name,)) for name in alone]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert together == alone


def test_more_scans_than_allowed_are_told_to_wait(repository: Path, tmp_path: Path) -> None:
    with ForkedBox(tmp_path, repository, "[scan]\nmax_open_scans = 2\n") as box:
        calls = [Call(box.grpc, opening(f"1.{number}", 1)) for number in range(2)]
        for call in calls:
            call.send_slices(raw_slices()[:1])
            call.wait_for_answers(1)
        refused = send_scan(box.grpc, opening("1.9", 1), [])
        assert isinstance(refused.error, grpc.Call)
        assert refused.error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        calls[0].end()
        calls[0].result()
        assert send_scan(box.grpc, opening("1.9", 1), []).report is not None
        calls[1].close()


def test_many_scans_at_once_share_the_engines(repository: Path, tmp_path: Path) -> None:
    with ForkedBox(tmp_path, repository) as box:
        answers: dict[str, Answers] = {}

        def send(name: str) -> None:
            answers[name] = send_scan(box.grpc, opening(name, 1), raw_slices(40, 5.0, name))

        threads = [threading.Thread(target=send, args=(f"1.{index}",)) for index in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    scores = {answer.final_report.scores.SerializeToString() for answer in answers.values()}
    assert len(answers) == 8
    assert len(scores) == 1
