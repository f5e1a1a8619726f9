"""Triage, models, health, reflection and HTTP of a running daemon."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from prometheus_client.parser import text_string_to_metric_families

from breathhold.v1 import (
    model_pb2,
    model_pb2_grpc,
    scan_pb2,
    triage_pb2,
    triage_pb2_grpc,
    types_pb2,
)
from tests.box import Box, Call, send_scan
from tests.made_scans import raw_slices


def get(box: Box, path: str) -> str:
    with urllib.request.urlopen(f"http://{box.http}/{path}", timeout=10) as response:
        text: str = response.read().decode()
    return text


def metrics(box: Box) -> dict[tuple[str, tuple[str, ...]], float]:
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(get(box, "metrics"))
        for sample in family.samples
    }


def test_health_and_reflection(box: Box) -> None:
    with grpc.insecure_channel(box.grpc) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for name in ("", "breathhold.v1.ScanService"):
            answer = stub.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        services = ProtoReflectionDescriptorDatabase(channel).get_services()
    assert {f"breathhold.v1.{name}Service" for name in ("Scan", "Triage", "Model")} <= {*services}


def test_models_are_listed(box: Box) -> None:
    with grpc.insecure_channel(box.grpc) as channel:
        answer = model_pb2_grpc.ModelServiceStub(channel).ListModels(model_pb2.ListModelsRequest())
    models = {model.role: model for model in answer.models}
    assert models.keys() == {"lung", "lesion"}
    assert models["lesion"].warm
    assert models["lesion"].runtime == "openvino"
    assert len(models["lesion"].reference.sha256) == 64
    assert len(models["lesion"].sections) == 3


def test_metrics_count_what_happened(box: Box) -> None:
    before = metrics(box)
    bad = scan_pb2.Slice(sequence=1, dicom=b"no DICOM")
    opening = scan_pb2.OpenScan(series_instance_uid="1.2.200")
    slices = raw_slices(series="1.2.200")
    send_scan(box.grpc, opening, [bad, *slices, slices[0]])
    after = metrics(box)

    def grown(name: str, *labels: str) -> float:
        return after[f"breathhold_{name}", labels] - before.get((f"breathhold_{name}", labels), 0)

    assert grown("slices_received_total") == 30
    assert grown("slices_duplicate_total") == 1
    assert grown("slices_refused_total", "NOT_DICOM") == 1
    assert grown("scans_reported_total", "end") == 1
    assert grown("decode_seconds_count") == 32
    assert grown("slab_seconds_count") >= 30
    assert grown("last_slice_to_report_seconds_count") == 1
    assert after["breathhold_ready", ()] == 1
    assert after["breathhold_queue_depth", ()] == 0


def test_http_pages(box: Box) -> None:
    assert get(box, "healthz") == "serving\n"
    assert "Breathhold triage" in get(box, "")
    assert "scans" in json.loads(get(box, "triage.json"))
    with pytest.raises(urllib.error.HTTPError):
        get(box, "nothing")


def test_the_board_is_watched_live(box: Box) -> None:
    with grpc.insecure_channel(box.grpc) as channel:
        stub = triage_pb2_grpc.TriageServiceStub(channel)
        watch = stub.Watch(triage_pb2.WatchRequest(), timeout=30)
        assert next(watch).HasField("snapshot")
        opening = scan_pb2.OpenScan(
            series_instance_uid="1.2.201",
            station="CT7",
            priority=types_pb2.PRIORITY_EMERGENCY,
        )
        send_scan(box.grpc, opening, raw_slices(series="1.2.201"))
        for change in watch:
            line = change.changed
            if line.series_instance_uid == "1.2.201" and not line.running:
                break
        watch.cancel()
        assert line.state == types_pb2.SCAN_STATE_REPORTED
        assert (line.station, line.slices_received) == ("CT7", 30)
        listed = stub.ListScans(triage_pb2.ListScansRequest(page_size=1))
        assert listed.scans[0].series_instance_uid == "1.2.201"


def test_pages_of_the_list_do_not_overlap(box: Box) -> None:
    for number in range(3):
        series = f"1.2.21{number}"
        send_scan(box.grpc, scan_pb2.OpenScan(series_instance_uid=series), [])
    seen: list[str] = []
    with grpc.insecure_channel(box.grpc) as channel:
        stub = triage_pb2_grpc.TriageServiceStub(channel)
        token = ""
        while True:
            page = stub.ListScans(triage_pb2.ListScansRequest(page_size=2, page_token=token))
            seen += [summary.scan_id for summary in page.scans]
            token = page.next_page_token
            if not token:
                break
        assert len(seen) == len({*seen}) >= 3
        with pytest.raises(grpc.RpcError) as caught:
            stub.ListScans(triage_pb2.ListScansRequest(page_token="x"))
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_reports_that_are_not_there(box: Box) -> None:
    call = Call(box.grpc, scan_pb2.OpenScan(series_instance_uid="1.2.202"))
    call.send_slices(raw_slices(series="1.2.202")[:3])
    call.wait_for_answers(3)
    with grpc.insecure_channel(box.grpc) as channel:
        stub = triage_pb2_grpc.TriageServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.GetReport(triage_pb2.GetReportRequest(series_instance_uid="1.2.202"))
        assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
        with pytest.raises(grpc.RpcError) as caught:
            list(stub.GetMasks(triage_pb2.GetMasksRequest(scan_id="unknown")))
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND
    call.close()
