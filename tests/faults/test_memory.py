"""What callers send takes so much memory and no more, and nothing of it that nobody asked for."""

from __future__ import annotations

import re
import time
import urllib.request
from pathlib import Path

import grpc
import pytest

from appliance.client.errors import from_rpc
from breathhold.v1 import scan_pb2 as pb
from tests.box import Answers, Call, send_scan
from tests.faults.lives import Life
from tests.made_scans import raw_slices

_MIB = 2**20
_UNKNOWN = b"\x9a\x06"  # field 99, bytes


def unknown(size: int) -> bytes:
    """A field that this version does not know."""
    length, left = bytearray(), size
    while left > 0x7F:
        length.append(left & 0x7F | 0x80)
        left >>= 7
    return _UNKNOWN + bytes([*length, left]) + b"?" * size


def opening(number: int = 0) -> pb.OpenScan:
    return pb.OpenScan(series_instance_uid=f"1.2.9.{number}", station="CT1")


def slices(number: int, count: int, more: int) -> list[pb.Slice]:
    """Good slices, each with so many bytes of an unknown field."""
    made = raw_slices(count, 20.0, f"1.2.9.{number}")
    return [pb.Slice.FromString(one.SerializeToString() + unknown(more)) for one in made]


def listening(**further: object) -> dict[str, object]:
    return {"listen": "127.0.0.1:0", "http": "127.0.0.1:0", "readers": 0, **further}


def spool_bytes(state: Path) -> int:
    return sum(log.stat().st_size for log in (state / "spool").rglob("*") if log.is_file())


def in_hand(life: Life) -> float:
    with urllib.request.urlopen(f"http://{life.http}/metrics", timeout=10) as page:
        found = re.search(r"^breathhold_in_hand_bytes (\S+)$", page.read().decode(), re.M)
    assert found
    return float(found[1])


def test_slices_of_all_scans_share_so_much_memory(repository: Path, tmp_path: Path) -> None:
    """Callers that send faster than slices are read are made to wait, and none is refused."""
    server = listening(in_hand_mib=1)
    with Life(tmp_path, repository, "decode=sleep:0.1", server=server) as life:
        calls = [Call(life.grpc, opening(number)) for number in range(2)]
        for number, call in enumerate(calls):
            call.send_slices(slices(number, 12, 200_000))
        seen = []
        while not all(len(call.answers.acks) == 12 or call.answers.error for call in calls):
            seen.append(in_hand(life))
            time.sleep(0.05)
        for call in calls:
            assert (len(call.answers.acks), call.answers.error) == (12, None)
        assert max(seen) <= _MIB < max(seen) + 250_000
        assert in_hand(life) == 0
        for call in calls:
            call.close()
    assert spool_bytes(tmp_path) < _MIB


def test_what_is_not_known_of_a_scan_is_not_kept(repository: Path, tmp_path: Path) -> None:
    with Life(tmp_path, repository, server=listening()) as life:
        known = opening().SerializeToString()
        answers = opened_with(life, known + unknown(60_000))
        assert answers.opened is not None
        assert spool_bytes(tmp_path) < 1000
        refused = opened_with(life, known + unknown(70_000))
        assert refused.error is not None
        error = from_rpc(refused.error, "the daemon")
        assert (error.code, error.reason) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "OPEN_TOO_LARGE",
        )


def opened_with(life: Life, request: bytes) -> Answers:
    call = Call(life.grpc, pb.OpenScan.FromString(request))
    call.end()
    return call.result()


@pytest.mark.parametrize("size", [_MIB + 1, 2 * _MIB - 200])
def test_a_larger_message_is_refused_by_name(repository: Path, tmp_path: Path, size: int) -> None:
    with Life(tmp_path, repository, server=listening(max_message_mib=1)) as life:
        good = raw_slices(12, 20.0, "1.2.9.0")
        answers = send_scan(
            life.grpc, opening(), [*good[:6], pb.Slice(sequence=99, dicom=bytes(size)), *good[6:]]
        )
    (refused,) = answers.refused
    assert (refused.sequence, refused.refusal.reason) == (99, "TOO_LARGE")
    assert refused.refusal.metadata["max_bytes"] == str(_MIB)
    assert answers.final_report.slices == 12


def test_one_twice_as_large_ends_the_call_and_not_the_scan(
    repository: Path, tmp_path: Path
) -> None:
    with Life(tmp_path, repository, server=listening(max_message_mib=1)) as life:
        good = raw_slices(12, 20.0, "1.2.9.0")
        call = Call(life.grpc, opening())
        call.send_slices(good[:6])
        call.wait_for_answers(6)
        call.send_slices([pb.Slice(sequence=99, dicom=bytes(2 * _MIB))])
        broken = call.result().error
        assert broken is not None
        assert broken.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        again = send_scan(life.grpc, opening(), good[6:])
    assert again.opened is not None
    assert len(again.opened.kept_sop_instance_uids) == 6
    assert again.final_report.slices == 12


def test_a_uid_that_is_none_is_not_repeated(repository: Path, tmp_path: Path) -> None:
    """However long it is: what waits for a caller that does not read stays small."""
    with Life(tmp_path, repository, server=listening()) as life:
        named = [pb.Slice(raw=pb.RawSlice(sop_instance_uid=uid)) for uid in ("1" * _MIB, "1.2")]
        answers = send_scan(life.grpc, opening(), named)
    told = [(refused.refusal.reason, refused.sop_instance_uid) for refused in answers.refused]
    assert sorted(told) == [("MALFORMED", ""), ("MALFORMED", "1.2")]
