"""A daemon in its own process, spoken to on the wire."""

from __future__ import annotations

import random
import time

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from appliance.scan.masks import decode_runs
from breathhold.v1 import scan_pb2 as pb
from breathhold.v1 import scan_pb2_grpc, triage_pb2, triage_pb2_grpc, types_pb2
from tests.box import Answers, Box, Call, send_scan
from tests.made_scans import plane, raw_slices


def opening(series: str, **fields: object) -> pb.OpenScan:
    return pb.OpenScan(series_instance_uid=series, station="CT1", **fields)  # type: ignore[arg-type]


def send(box: Box, series: str, slices: list[pb.Slice] | None = None, **fields: object) -> Answers:
    return send_scan(box.grpc, opening(series, **fields), slices or raw_slices(series=series))


def reason_of(error: grpc.RpcError | None) -> tuple[grpc.StatusCode, str]:
    assert isinstance(error, grpc.Call)
    status = rpc_status.from_call(error)
    assert status is not None
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert info.domain == "breathhold"
    return error.code(), info.reason


def test_a_scan_streams_through(box: Box) -> None:
    answers = send(box, "1.2.100", send_masks=True)
    assert answers.opened is not None
    assert answers.opened.state == types_pb2.SCAN_STATE_RECEIVING
    assert sorted(ack.sequence for ack in answers.acks) == list(range(1, 31))
    assert len(answers.masks) == 30
    report = answers.final_report
    assert report.state == types_pb2.SCAN_STATE_REPORTED
    assert report.slices == 30
    assert report.section == types_pb2.SECTION_THICK
    assert report.completed_by == types_pb2.COMPLETED_BY_END
    assert {*report.models} == {"lung", "lesion"}
    assert 0 < report.scores.po < 100
    assert report.disclaimer
    assert answers.scores[-1].coverage == 1.0


def test_scores_add_up_to_the_masks(box: Box) -> None:
    """PO counted by the caller from the masks it got is the reported one."""
    answers = send(box, "1.2.101", send_masks=True)
    lesion = sum(int(decode_runs(mask.runs, 64, 64).sum()) for mask in answers.masks.values())
    with grpc.insecure_channel(box.grpc) as channel:
        stub = triage_pb2_grpc.TriageServiceStub(channel)
        request = triage_pb2.GetMasksRequest(
            series_instance_uid="1.2.101", kind=types_pb2.MASK_KIND_LUNG
        )
        lungs = [response.mask for response in stub.GetMasks(request)]
    lung = sum(int(decode_runs(mask.runs, 64, 64).sum()) for mask in lungs)
    assert len(lungs) == 30
    assert [mask.position_mm for mask in lungs] == sorted(mask.position_mm for mask in lungs)
    assert answers.final_report.scores.po == pytest.approx(100 * lesion / lung)
    assert answers.final_report.scores.lung_ml == pytest.approx(lung * 125 / 1000)


def test_the_lesion_is_where_it_was_drawn(box: Box) -> None:
    answers = send(box, "1.2.102", send_masks=True)
    index = 15
    mask = decode_runs(answers.masks[f"1.2.102.{index + 1}"].runs, 64, 64)
    patch = plane(index, 30) == -500
    assert np.count_nonzero(mask & patch) > 0.8 * np.count_nonzero(patch)


def test_any_order_and_duplicates_give_the_same_report(box: Box) -> None:
    reference = send(box, "1.2.103", send_masks=True)
    shuffled = raw_slices(series="1.2.103")
    mixer = random.Random(4)
    shuffled += mixer.sample(shuffled, 6)
    mixer.shuffle(shuffled)
    for item in shuffled:
        item.raw.sop_instance_uid = item.raw.sop_instance_uid.replace("1.2.103", "1.2.104")
    other = send(box, "1.2.104", shuffled, send_masks=True)
    assert sum(ack.duplicate for ack in other.acks) == 6
    assert len(other.acks) == 36
    assert comparable(other) == comparable(reference)


def comparable(answers: Answers) -> tuple[types_pb2.Report, list[list[int]]]:
    """Report and masks without the identities that must differ."""
    report = answers.final_report
    for field in ("scan_id", "series_instance_uid"):
        report.ClearField(field)  # type: ignore[arg-type]
    masks = sorted(answers.masks.values(), key=lambda mask: mask.position_mm)
    return report, [list(mask.runs) for mask in masks]


def test_a_finished_scan_answers_with_its_report(box: Box) -> None:
    first = send(box, "1.2.105", send_masks=True)
    again = send_scan(box.grpc, opening("1.2.105", send_masks=True), [])
    assert again.final_report == first.final_report
    assert again.opened is not None
    assert again.opened.state == types_pb2.SCAN_STATE_REPORTED
    assert len(again.opened.kept_sop_instance_uids) == 30
    assert {uid: list(mask.runs) for uid, mask in again.masks.items()} == {
        uid: list(mask.runs) for uid, mask in first.masks.items()
    }


def test_no_lung_is_no_score(box: Box) -> None:
    slices = raw_slices(series="1.2.106")
    for item in slices:
        item.raw.pixels = np.full((64, 64), 50, "<i2").tobytes()
        item.raw.image_position[2] += 0.001
    report = send(box, "1.2.106", slices).final_report
    assert report.scores.no_score == types_pb2.NO_SCORE_NO_LUNG
    assert not report.scores.HasField("po")


def test_a_short_scan_is_no_score(box: Box) -> None:
    report = send(box, "1.2.107", raw_slices(series="1.2.107")[:5]).final_report
    assert report.scores.no_score == types_pb2.NO_SCORE_TOO_SHORT
    assert not report.scores.HasField("po")


def test_a_refused_slice_does_not_end_the_scan(box: Box) -> None:
    slices = raw_slices(series="1.2.108")
    bad = pb.Slice(sequence=99, dicom=b"this is no DICOM")
    answers = send(box, "1.2.108", [*slices[:10], bad, *slices[10:]])
    (refused,) = answers.refused
    assert refused.sequence == 99
    assert refused.refusal.reason == "NOT_DICOM"
    assert len(answers.acks) == 30
    assert answers.final_report.slices == 30
    assert answers.report is not None
    assert answers.report.timing.slices_refused == 1


def test_the_announced_count_ends_the_scan(box: Box) -> None:
    call = Call(box.grpc, opening("1.2.109", expected_slices=30))
    call.send_slices(raw_slices(series="1.2.109"))
    assert call.result().final_report.completed_by == types_pb2.COMPLETED_BY_COUNT


def test_an_abandoned_scan_ends_with_what_is_known(box: Box) -> None:
    call = Call(box.grpc, opening("1.2.110"))
    call.send_slices(raw_slices(series="1.2.110")[:28])
    call.end(abandon=True)
    report = call.result().final_report
    assert report.state == types_pb2.SCAN_STATE_ABANDONED
    assert report.slices == 28


@pytest.mark.parametrize("uid", ["", "not a uid", "1." * 40 + "1", "1..2"])
def test_a_malformed_uid_is_refused(box: Box, uid: str) -> None:
    answers = send_scan(box.grpc, opening(uid), [])
    assert reason_of(answers.error) == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_UID")


def test_open_comes_first(box: Box) -> None:
    with grpc.insecure_channel(box.grpc) as channel:
        stub = scan_pb2_grpc.ScanServiceStub(channel)
        requests = iter([pb.StreamRequest(end=pb.EndScan())])
        with pytest.raises(grpc.RpcError) as caught:
            list(stub.Stream(requests))
    assert reason_of(caught.value) == (grpc.StatusCode.INVALID_ARGUMENT, "OPEN_FIRST")


def test_another_station_is_kept_out_and_the_same_one_takes_over(box: Box) -> None:
    first = Call(box.grpc, opening("1.2.111"))
    first.send_slices(raw_slices(series="1.2.111")[:10])
    first.wait_for_answers(10)
    stranger = pb.OpenScan(series_instance_uid="1.2.111", station="CT2")
    refused = send_scan(box.grpc, stranger, [])
    assert reason_of(refused.error) == (grpc.StatusCode.FAILED_PRECONDITION, "SCAN_BUSY")
    second = Call(box.grpc, opening("1.2.111"))
    assert reason_of(first.result().error) == (grpc.StatusCode.ABORTED, "TAKEN_OVER")
    second.send_slices(raw_slices(series="1.2.111")[10:])
    second.end()
    answers = second.result()
    assert answers.opened is not None
    assert len(answers.opened.kept_sop_instance_uids) == 10
    assert answers.final_report.slices == 30


def test_answers_go_to_the_call_that_sent_the_slice(box: Box) -> None:
    """A call that was taken over may have slices in hand; the new call hears nothing of them."""
    slices = raw_slices(200, 1.0, series="1.2.113")
    first = Call(box.grpc, opening("1.2.113"))
    first.send_slices(slices)
    first.wait_for_answers(1)
    second = Call(box.grpc, opening("1.2.113"))
    first.result()
    second.end()
    answers = second.result()
    assert answers.opened is not None
    assert not answers.acks
    assert not answers.refused


def test_a_slice_from_nowhere_does_not_harm_the_others(box: Box) -> None:
    """Numbers no scanner writes are refused by name, and the engines see the next scan right."""
    slices = raw_slices(series="1.2.114")
    for number, change in enumerate(
        ({"pixel_spacing": [1e308, 1e308]}, {"pixel_spacing": [1e-320] * 2})
    ):
        odd = pb.Slice()
        odd.CopyFrom(slices[3])
        odd.raw.sop_instance_uid = f"1.2.114.9{number}"
        del odd.raw.pixel_spacing[:]
        odd.raw.pixel_spacing.extend(change["pixel_spacing"])
        slices.insert(0, odd)
    far = pb.Slice()
    far.CopyFrom(slices[-1])
    far.raw.sop_instance_uid = "1.2.114.99"
    far.raw.image_position[2] = 1e11
    answers = send(box, "1.2.114", [*slices, far])
    assert [refused.refusal.reason for refused in answers.refused] == ["NO_GEOMETRY"] * 3
    assert answers.final_report.scores == send(box, "1.2.115").final_report.scores


def test_a_caller_that_does_not_read_does_not_hold_up_its_scan(box: Box) -> None:
    """It sends everything and reads nothing until the report is on the board."""
    opened = opening("1.2.116", send_masks=True)
    with grpc.insecure_channel(box.grpc) as channel:
        requests = [pb.StreamRequest(open=opened)]
        requests += [pb.StreamRequest(slice=item) for item in raw_slices(300, 1.0, "1.2.116")]
        requests.append(pb.StreamRequest(end=pb.EndScan()))
        call = scan_pb2_grpc.ScanServiceStub(channel).Stream(iter(requests), timeout=60)
        stub = triage_pb2_grpc.TriageServiceStub(channel)
        for change in stub.Watch(triage_pb2.WatchRequest(), timeout=30):
            lines = [*change.snapshot.scans, change.changed]
            if any(line.series_instance_uid == "1.2.116" and not line.running for line in lines):
                break
        answers = Answers()
        for response in call:
            answers.add(response)
    assert len(answers.acks) == len(answers.masks) == 300
    assert answers.final_report.slices == 300


def test_a_scan_too_short_keeps_the_same_masks_whenever_it_ends(box: Box) -> None:
    kept = []
    for series, pause in (("1.2.117", False), ("1.2.118", True)):
        call = Call(box.grpc, opening(series, send_masks=True))
        call.send_slices(raw_slices(series=series)[:8])
        if pause:
            call.wait_for_answers(8)
            time.sleep(0.5)
        call.end()
        call.result()
        kept.append(len(send_scan(box.grpc, opening(series, send_masks=True), []).masks))
    assert kept == [8, 8]


def test_a_broken_call_is_resumed(box: Box) -> None:
    slices = raw_slices(series="1.2.112")
    call = Call(box.grpc, opening("1.2.112"))
    call.send_slices(slices[:17])
    call.wait_for_answers(17)
    call.close()
    answers = send(box, "1.2.112", slices[17:])
    assert answers.opened is not None
    assert set(answers.opened.kept_sop_instance_uids) == {
        item.raw.sop_instance_uid for item in slices[:17]
    }
    assert answers.final_report.slices == 30
