"""Requests whose strings cannot be names, on a running daemon."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest

from appliance.access.roles import identify
from appliance.config import AccessConfig
from breathhold.v1 import model_pb2, model_pb2_grpc, scan_pb2, scan_pb2_grpc, triage_pb2
from breathhold.v1 import triage_pb2_grpc as triage
from tests.access.calls import refusal
from tests.box import Box
from tests.forked import ForkedBox
from tests.tiny_models import write_tiny_repository

LONG = "z" * 20_000


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    folder = tmp_path_factory.mktemp("box")
    with ForkedBox(folder, write_tiny_repository(folder / "repository")) as running:
        yield running


@pytest.mark.parametrize("token", ["9" * 5000, "-1", " 1", "\u0661", "1" * 10])
def test_a_page_token_that_none_can_be(box: Box, token: str) -> None:
    with grpc.insecure_channel(box.grpc) as channel:
        request = triage_pb2.ListScansRequest(page_token=token)
        refused = refusal(lambda: triage.TriageServiceStub(channel).ListScans(request))
    assert refused == ("INVALID_ARGUMENT", "BAD_PAGE_TOKEN")


@pytest.mark.parametrize("name", [LONG, "lung\n"])
def test_a_name_that_none_can_be_is_neither_repeated_nor_logged(box: Box, name: str) -> None:
    with grpc.insecure_channel(box.grpc) as channel:
        models = model_pb2_grpc.ModelServiceStub(channel)
        board = triage.TriageServiceStub(channel)
        for ask in (
            lambda: models.UseModel(model_pb2.UseModelRequest(name=name, version=1)),
            lambda: models.RollBackModel(model_pb2.RollBackModelRequest(name=name)),
            lambda: board.GetReport(triage_pb2.GetReportRequest(scan_id=name)),
            lambda: board.GetReport(triage_pb2.GetReportRequest(series_instance_uid=name)),
            lambda: list(board.GetMasks(triage_pb2.GetMasksRequest(scan_id=name))),
            lambda: board.GetCourse(triage_pb2.GetCourseRequest(patient_key=name)),
        ):
            assert refusal(ask) == ("INVALID_ARGUMENT", "MALFORMED_NAME")
    assert "zzz" not in box.log_text()
    assert "zzz" not in (box.state / "audit/audit.jsonl").read_text()


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        ("series_instance_uid", "MALFORMED_UID"),
        ("study_instance_uid", "MALFORMED_UID"),
        ("station", "MALFORMED_STATION"),
        ("patient_id", "MALFORMED_PATIENT_ID"),
    ],
)
def test_a_scan_that_is_opened_with_a_name_that_none_can_be(
    box: Box, field: str, reason: str
) -> None:
    opening = scan_pb2.OpenScan(**{"series_instance_uid": "1.2.3", field: LONG})
    with grpc.insecure_channel(box.grpc) as channel:
        stub = scan_pb2_grpc.ScanServiceStub(channel)
        requests = [scan_pb2.StreamRequest(open=opening)]
        assert refusal(lambda: list(stub.Stream(iter(requests)))) == ("INVALID_ARGUMENT", reason)
    assert "zzz" not in box.log_text()
    assert "zzz" not in (box.state / "audit/audit.jsonl").read_text()


def test_of_a_strangers_long_name_the_trail_gets_the_beginning() -> None:
    assert identify([LONG], AccessConfig()).name == LONG[:64]
