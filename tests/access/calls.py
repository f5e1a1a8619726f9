"""Every method of the wire, called as plainly as can be."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import grpc
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from breathhold.v1 import (
    model_pb2,
    model_pb2_grpc,
    scan_pb2,
    scan_pb2_grpc,
    triage_pb2,
    triage_pb2_grpc,
)

_WAIT_S = 30


def stream(
    channel: grpc.Channel, series: str, slices: Iterable[scan_pb2.Slice] = ()
) -> list[scan_pb2.StreamResponse]:
    """A whole scan in one call."""
    opening = scan_pb2.OpenScan(
        series_instance_uid=series, caller="someone else", patient_id="patient 7"
    )
    requests = [scan_pb2.StreamRequest(open=opening)]
    requests += [scan_pb2.StreamRequest(slice=item) for item in slices]
    requests.append(scan_pb2.StreamRequest(end=scan_pb2.EndScan()))
    stub = scan_pb2_grpc.ScanServiceStub(channel)
    return list(stub.Stream(iter(requests), timeout=_WAIT_S))


def report(channel: grpc.Channel, series: str) -> triage_pb2.GetReportResponse:
    request = triage_pb2.GetReportRequest(series_instance_uid=series)
    return triage_pb2_grpc.TriageServiceStub(channel).GetReport(request, timeout=_WAIT_S)


def masks(channel: grpc.Channel, series: str) -> list[triage_pb2.GetMasksResponse]:
    request = triage_pb2.GetMasksRequest(series_instance_uid=series)
    return list(triage_pb2_grpc.TriageServiceStub(channel).GetMasks(request, timeout=_WAIT_S))


def course(channel: grpc.Channel, **named: str) -> triage_pb2.GetCourseResponse:
    request = triage_pb2.GetCourseRequest(**named)
    return triage_pb2_grpc.TriageServiceStub(channel).GetCourse(request, timeout=_WAIT_S)


def watch(channel: grpc.Channel) -> triage_pb2.WatchResponse:
    responses = triage_pb2_grpc.TriageServiceStub(channel).Watch(triage_pb2.WatchRequest())
    try:
        return next(responses)
    finally:
        responses.cancel()


def scans(channel: grpc.Channel) -> triage_pb2.ListScansResponse:
    stub = triage_pb2_grpc.TriageServiceStub(channel)
    return stub.ListScans(triage_pb2.ListScansRequest(), timeout=_WAIT_S)


def models(channel: grpc.Channel) -> model_pb2.ListModelsResponse:
    stub = model_pb2_grpc.ModelServiceStub(channel)
    return stub.ListModels(model_pb2.ListModelsRequest(), timeout=_WAIT_S)


def use_model(channel: grpc.Channel) -> model_pb2.UseModelResponse:
    stub = model_pb2_grpc.ModelServiceStub(channel)
    return stub.UseModel(model_pb2.UseModelRequest(name="lesion", version=2), timeout=_WAIT_S)


def roll_back_model(channel: grpc.Channel) -> model_pb2.RollBackModelResponse:
    stub = model_pb2_grpc.ModelServiceStub(channel)
    return stub.RollBackModel(model_pb2.RollBackModelRequest(name="lesion"), timeout=_WAIT_S)


def reload_models(channel: grpc.Channel) -> model_pb2.ReloadModelsResponse:
    stub = model_pb2_grpc.ModelServiceStub(channel)
    return stub.ReloadModels(model_pb2.ReloadModelsRequest(), timeout=_WAIT_S)


def health(channel: grpc.Channel) -> health_pb2.HealthCheckResponse:
    stub = health_pb2_grpc.HealthStub(channel)
    return stub.Check(health_pb2.HealthCheckRequest(), timeout=_WAIT_S)


def refusal(call: Callable[[], object]) -> tuple[str, str] | None:
    """Status and reason of a call that was turned away; None when it was not."""
    try:
        call()
    except grpc.RpcError as error:
        status = rpc_status.from_call(error)
        info = error_details_pb2.ErrorInfo()
        if status is not None and status.details:
            status.details[0].Unpack(info)
        return error.code().name, info.reason
    return None
