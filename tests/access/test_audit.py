"""The audit trail's file."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from prometheus_client import Counter

from appliance.access.audit import AuditTrail, Event, Outcome
from appliance.config import AuditConfig


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_an_event_is_one_line_with_the_standards_codes(tmp_path: Path) -> None:
    trail = AuditTrail(tmp_path / "audit", AuditConfig())
    trail.note(
        Event.DENIED,
        who="CT1",
        address="ipv4:1.2.3.4:5",
        method="/x/Y",
        outcome=Outcome.MINOR_FAILURE,
        why="not allowed",
    )
    (line,) = lines(trail.path)
    assert line.pop("EventDateTime")
    assert line.pop("AuditSourceID")
    assert line == {
        "EventID": {"code": 110113, "scheme": "DCM", "meaning": "Security Alert"},
        "EventTypeCode": {"code": 110132, "scheme": "DCM", "meaning": "Use of Restricted Function"},
        "EventActionCode": "E",
        "EventOutcomeIndicator": 4,
        "EventOutcomeDescription": "not allowed",
        "UserID": "CT1",
        "NetworkAccessPointID": "ipv4:1.2.3.4:5",
        "Method": "/x/Y",
    }
    assert stat.S_IMODE(trail.path.stat().st_mode) == 0o600


@pytest.mark.parametrize("told", [True, False])
def test_uids_are_named_only_where_the_site_wants_them(tmp_path: Path, told: bool) -> None:
    trail = AuditTrail(tmp_path, AuditConfig(uids=told))
    trail.note(Event.READ, scan_id="abc", uids={"series": "1.2.3"})
    (line,) = lines(trail.path)
    assert line["ScanID"] == "abc"
    assert ("UIDs" in line) is told


def test_a_full_file_is_renamed_and_the_oldest_dropped(tmp_path: Path) -> None:
    trail = AuditTrail(tmp_path, AuditConfig(file_mib=1, files=3))
    for letter in "abcd":
        trail.note(Event.READ, why=letter * 600_000)
        trail.note(Event.READ, why=letter * 600_000)
    found = sorted(path.name for path in tmp_path.iterdir())
    assert found == ["audit.1.jsonl", "audit.2.jsonl", "audit.jsonl"]
    held = [
        line["EventOutcomeDescription"]
        for name in reversed(found[:2])
        for line in lines(tmp_path / name)
    ]
    held += [line["EventOutcomeDescription"] for line in lines(trail.path)]
    assert [str(text)[0] for text in held] == ["c", "d", "d"]


def test_what_is_there_is_never_written_over(tmp_path: Path) -> None:
    trail = AuditTrail(tmp_path, AuditConfig())
    trail.note(Event.STARTED)
    first = trail.path.read_bytes()
    AuditTrail(tmp_path, AuditConfig()).note(Event.STOPPED)
    assert trail.path.read_bytes().startswith(first)
    assert len(lines(trail.path)) == 2


def test_an_event_that_cannot_be_written_is_counted_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "audit").write_text("in the way")
    failures = Counter("failures", "", registry=None)
    AuditTrail(tmp_path / "audit", AuditConfig(), failures).note(Event.STARTED)
    assert failures._value.get() == 1
    assert "could not be written" in caplog.text
