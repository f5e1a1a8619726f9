"""Who gets in: each role against each method, on a real daemon with mutual TLS."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import partial

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.access import calls
from tests.access.authority import Authority, Files
from tests.box import Box
from tests.made_scans import raw_slices

SERIES = "1.2.77"
DENIED = ("PERMISSION_DENIED", "NOT_ALLOWED")
METHODS: dict[str, Callable[[grpc.Channel], object]] = {
    "Stream": partial(calls.stream, series=SERIES),
    "GetReport": partial(calls.report, series=SERIES),
    "GetMasks": partial(calls.masks, series=SERIES),
    "GetCourse": partial(calls.course, series_instance_uid=SERIES),
    "Watch": calls.watch,
    "ListScans": calls.scans,
    "ListModels": calls.models,
    "UseModel": calls.use_model,
    "RollBackModel": calls.roll_back_model,
    "ReloadModels": calls.reload_models,
    "Health": calls.health,
}
MAY = {
    "console": {"Stream", "GetReport", "GetMasks", "Health"},
    "dashboard": {"GetReport", "GetMasks", "GetCourse", "Watch", "ListScans", "Health"},
    "operator": {"ListModels", "UseModel", "RollBackModel", "ReloadModels", "Health"},
    "monitor": {"ListModels", "Health"},
    "nobody": {"Health"},
}


@pytest.fixture(scope="module", autouse=True)
def sent(box: Box, authority: Authority, callers: dict[str, Files]) -> None:
    """A finished scan of the console's."""
    with authority.channel(box.grpc, callers["console"]) as channel:
        assert calls.stream(channel, SERIES, raw_slices(12, 20.0, SERIES))[-1].HasField("report")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("role", MAY)
def test_each_role_and_method(
    box: Box, authority: Authority, callers: dict[str, Files], role: str, method: str
) -> None:
    with authority.channel(box.grpc, callers[role]) as channel:
        refused = calls.refusal(lambda: METHODS[method](channel))
    if method in MAY[role]:
        assert refused is None
    elif role == "nobody" or method != "Health":
        assert refused == DENIED


def test_a_console_gets_at_no_other_consoles_scan(
    box: Box, authority: Authority, callers: dict[str, Files]
) -> None:
    with authority.channel(box.grpc, callers["other console"]) as channel:
        for call in (calls.report, calls.masks, calls.stream):
            refused = calls.refusal(partial(call, channel, SERIES))
            assert refused == ("PERMISSION_DENIED", "OTHER_CALLERS_SCAN")


def test_a_caller_cannot_say_it_is_another(
    box: Box, authority: Authority, callers: dict[str, Files]
) -> None:
    """`calls.stream` claims to come from someone else."""
    with authority.channel(box.grpc, callers["dashboard"]) as channel:
        (line,) = [
            scan for scan in calls.scans(channel).scans if scan.series_instance_uid == SERIES
        ]
    assert line.caller == "CT1"


def test_without_a_certificate_nobody_gets_in(box: Box, authority: Authority) -> None:
    with authority.channel(box.grpc, None) as channel:
        assert calls.refusal(lambda: calls.health(channel)) == ("UNAVAILABLE", "")


def test_a_certificate_of_another_authority_does_not_count(
    box: Box, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> None:
    forged = Authority(tmp_path_factory.mktemp("forger")).issue("CT1")
    with authority.channel(box.grpc, forged) as channel:
        assert calls.refusal(lambda: calls.health(channel)) == ("UNAVAILABLE", "")


def test_plain_grpc_gets_no_answer(box: Box) -> None:
    with grpc.insecure_channel(box.grpc) as channel:
        assert calls.refusal(lambda: calls.health(channel)) == ("UNAVAILABLE", "")


@pytest.mark.parametrize(
    ("page", "who", "status"),
    [
        ("", "dashboard", 200),
        ("triage.json", "dashboard", 200),
        ("triage.json", "console", 403),
        ("triage.json", "operator", 403),
        ("triage.json", None, 403),
        ("triage.json", "monitor", 403),
        ("metrics", "operator", 200),
        ("metrics", "monitor", 200),
        ("metrics", "dashboard", 403),
        ("healthz", None, 200),
    ],
)
def test_each_role_and_page(
    box: Box,
    authority: Authority,
    callers: dict[str, Files],
    page: str,
    who: str | None,
    status: int,
) -> None:
    context = ssl.create_default_context(cafile=str(authority.ca))
    if who:
        context.load_cert_chain(callers[who].certificate, callers[who].key)
    try:
        with urllib.request.urlopen(
            f"https://{box.http}/{page}", timeout=10, context=context
        ) as answer:
            found = answer.status
    except urllib.error.HTTPError as error:
        found = error.code
        error.close()
    assert found == status


def test_a_caller_without_a_role_holds_eight_watches_and_no_more(
    box: Box, authority: Authority, callers: dict[str, Files]
) -> None:
    with authority.channel(box.grpc, callers["nobody"]) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        watches = [stub.Watch(health_pb2.HealthCheckRequest(), timeout=30) for _ in range(20)]
        refused = [calls.refusal(partial(next, watch)) for watch in watches]
        assert refused.count(None) == 8
        assert refused.count(("RESOURCE_EXHAUSTED", "TOO_MANY_CALLS")) == 12
        assert calls.refusal(lambda: calls.health(channel)) is None


def test_a_course_by_key_is_in_the_trail_with_its_last_scan(
    box: Box, authority: Authority, callers: dict[str, Files]
) -> None:
    with authority.channel(box.grpc, callers["dashboard"]) as channel:
        found = calls.course(channel, series_instance_uid=SERIES)
        assert calls.course(channel, patient_key=found.patient_key) == found
    *_, by_series, by_key = (box.state / "audit/audit.jsonl").read_text().splitlines()
    assert json.loads(by_key)["ScanID"] == found.points[-1].scan_id
    assert json.loads(by_series)["ScanID"] == found.points[-1].scan_id


def test_what_was_done_is_in_the_trail(box: Box) -> None:
    trail = [
        json.loads(line) for line in (box.state / "audit/audit.jsonl").read_text().splitlines()
    ]
    told = {
        (line["EventID"]["code"], line.get("UserID"), line.get("Method", "").rpartition("/")[2])
        for line in trail
    }
    assert (110100, None, "") in told
    assert (110104, "CT1", "Stream") in told
    assert (110103, "Desk", "GetReport") in told
    assert (110103, "Desk", "GetCourse") in told
    assert (110113, "CT1", "GetCourse") in told
    assert (110112, "Desk", "Watch") in told
    assert (110113, "Ops", "Stream") in told
    assert (110113, "Ops", "RollBackModel") in told
    assert (110113, "CT1", "RollBackModel") in told
    (received,) = [
        line
        for line in trail
        if line["EventID"]["code"] == 110104
        and line["EventOutcomeIndicator"] == 0
        and line["UserID"] == "CT1"
    ][:1]
    assert received["ScanID"]
    assert SERIES not in json.dumps(trail)
    assert "patient 7" not in json.dumps(trail)


def test_who_asks_again_and_again_is_in_the_trail_once(
    box: Box, authority: Authority, callers: dict[str, Files]
) -> None:
    context = ssl.create_default_context(cafile=str(authority.ca))
    context.load_cert_chain(callers["dashboard"].certificate, callers["dashboard"].key)
    for _ in range(5):
        with urllib.request.urlopen(f"https://{box.http}/triage.json", context=context):
            pass
    with authority.channel(box.grpc, callers["monitor"]) as channel:
        for _ in range(5):
            assert calls.refusal(lambda: calls.use_model(channel)) == DENIED
    trail = [*map(json.loads, (box.state / "audit/audit.jsonl").read_text().splitlines())]
    told = [(line.get("UserID"), line.get("Method", "").rpartition("/")[2]) for line in trail]
    assert told.count(("Desk", "triage.json")) == 1
    assert told.count(("Prometheus", "UseModel")) == 1
