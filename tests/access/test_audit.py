"""The audit trail's file."""

from __future__ import annotations

import json
import os
import resource
import stat
from pathlib import Path

import pytest
from prometheus_client import Counter

from appliance import failpoints
from appliance.access.audit import AuditTrail, Event, Outcome
from appliance.config import AuditConfig

DAY_S = 86400.0


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


def counted() -> Counter:
    return Counter("counted", "", registry=None)


class Clock:
    """Goes forward when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_half_a_line_is_taken_back(tmp_path: Path) -> None:
    """The file may grow by less than the line, as on a disk that is nearly full."""
    failures = counted()
    trail = AuditTrail(tmp_path, AuditConfig(), failures)
    trail.note(Event.STARTED)
    size = trail.path.stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50, before[1]))
    try:
        trail.note(Event.READ, who="CT1", scan_id="lost")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert trail.path.stat().st_size == size
    trail.note(Event.READ, who="CT2", scan_id="next")
    assert [line.get("ScanID") for line in lines(trail.path)] == [None, "next"]
    assert failures._value.get() == 1


def test_a_write_that_takes_less_goes_on_with_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:7]))
    trail = AuditTrail(tmp_path, AuditConfig())
    trail.note(Event.READ, scan_id="abc")
    monkeypatch.undo()
    assert [line["ScanID"] for line in lines(trail.path)] == ["abc"]


def test_a_torn_last_line_is_counted_and_stands_by_itself(tmp_path: Path) -> None:
    """As a power cut leaves it."""
    failures = counted()
    (tmp_path / "audit.jsonl").write_text('{"EventDateTime":"20')
    trail = AuditTrail(tmp_path, AuditConfig(), failures)
    trail.note(Event.STARTED)
    trail.note(Event.STOPPED)
    torn, *whole = trail.path.read_text().splitlines()
    assert torn == '{"EventDateTime":"20'
    assert [json.loads(line)["EventTypeCode"]["code"] for line in whole] == [110120, 110121]
    assert failures._value.get() == 1


def test_a_page_that_asks_each_second_is_written_down_once_an_hour(tmp_path: Path) -> None:
    clock = Clock()
    trail = AuditTrail(tmp_path, AuditConfig(), clock=clock)
    for _ in range(2 * 3600):
        for who in ("Desk", "Other desk"):
            trail.note(Event.ASKED, who=who, address="1.2.3.4", method="/triage.json")
        clock.now += 1
    desk = [line for line in lines(trail.path) if line["UserID"] == "Desk"]
    assert [line.get("Count") for line in desk] == [None, 3599]
    assert len(lines(trail.path)) == 4
    trail.settle(at_the_end=True)
    assert lines(trail.path)[-1]["Count"] == 3600


def test_denials_are_written_at_once_and_then_counted_by_the_minute(tmp_path: Path) -> None:
    clock = Clock()
    trail = AuditTrail(tmp_path, AuditConfig(), clock=clock)

    def deny(method: str, port: int = 1) -> None:
        trail.note(
            Event.DENIED,
            who="Ops",
            address=f"ipv4:1.2.3.4:{port}",
            method=method,
            outcome=Outcome.MINOR_FAILURE,
            why="not allowed",
        )

    for number in range(2 * 60 * 128):
        deny("/x/Y", number)
        clock.now += 1 / 128
        if number == 3:
            deny("/x/Z")
    first, other, *more = lines(trail.path)
    assert (first["Method"], other["Method"]) == ("/x/Y", "/x/Z")
    assert [line["Count"] for line in more] == [60 * 128 - 1]
    assert more[0]["UserID"] == "Ops"
    assert str(first["EventDateTime"]) < str(more[0]["Since"]) < str(more[0]["EventDateTime"])
    trail.settle()
    assert lines(trail.path)[-1]["Count"] == 60 * 128
    clock.now += 60
    trail.settle()
    deny("/x/Y")
    assert "Count" not in lines(trail.path)[-1]
    assert len(lines(trail.path)) == 5


def test_thousands_of_callers_that_are_denied_take_few_lines(tmp_path: Path) -> None:
    clock = Clock()
    trail = AuditTrail(tmp_path, AuditConfig(), clock=clock)
    for number in range(5000):
        trail.note(Event.DENIED, address=f"2001:db8::{number}", outcome=Outcome.MINOR_FAILURE)
    assert len(lines(trail.path)) == 128
    trail.note(Event.MODELS_CHANGED, who="Ops")
    trail.note(Event.READ, who="Desk", scan_id="abc")
    assert lines(trail.path)[-1]["ScanID"] == "abc"
    clock.now += 60
    trail.settle()
    others = lines(trail.path)[-1]
    assert others["Count"] == 5000 - 128
    assert "NetworkAccessPointID" not in others
    clock.now += 60
    trail.settle()
    trail.note(Event.DENIED, address="2001:db8::9", outcome=Outcome.MINOR_FAILURE)
    assert lines(trail.path)[-1]["NetworkAccessPointID"] == "2001:db8::9"


def test_what_was_done_is_written_each_time_unless_it_floods(tmp_path: Path) -> None:
    clock = Clock()
    trail = AuditTrail(tmp_path, AuditConfig(), clock=clock)
    for number in range(40):
        trail.note(Event.READ, who="Desk", scan_id=str(number % 4))
    trail.note(Event.READ, who="Desk", scan_id="1")
    for _ in range(12):
        trail.note(Event.MODELS_CHANGED, who="Ops")
    assert len(lines(trail.path)) == 40 + 12
    trail.settle(at_the_end=True)
    assert (lines(trail.path)[-1]["ScanID"], lines(trail.path)[-1]["Count"]) == ("1", 1)


def test_a_count_that_cannot_be_written_is_written_later(tmp_path: Path) -> None:
    clock, failures = Clock(), counted()
    trail = AuditTrail(tmp_path, AuditConfig(), failures, clock=clock)
    failpoints.arm("audit=ENOSPC@2")
    try:
        for _ in range(5):
            trail.note(Event.ASKED, who="Desk")
        for _ in range(3):
            clock.now += 3600
            trail.settle()
    finally:
        failpoints.arm("")
    assert [line.get("Count") for line in lines(trail.path)] == [None, 4]
    assert failures._value.get() == 1


def test_a_file_goes_when_all_of_it_is_kept_long_enough(tmp_path: Path) -> None:
    clock, dropped = Clock(), counted()
    config = AuditConfig(file_mib=1, files=4, keep_days=100)
    trail = AuditTrail(tmp_path, config, None, dropped, clock)
    for letter in "abc":
        trail.note(Event.READ, why=letter * 600_000)
    for number, days in ((1, 99), (2, 101)):
        at = (tmp_path / f"audit.{number}.jsonl").stat().st_mtime - days * DAY_S
        os.utime(tmp_path / f"audit.{number}.jsonl", (at, at))
    trail.settle()
    assert (tmp_path / "audit.2.jsonl").exists()
    clock.now += 3600
    trail.settle()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["audit.1.jsonl", "audit.jsonl"]
    assert dropped._value.get() == 0


def test_an_open_file_is_closed_in_time_to_go(tmp_path: Path) -> None:
    """Else a trail that hardly grows would keep its first event for years."""
    clock = Clock()
    trail = AuditTrail(tmp_path, AuditConfig(keep_days=100), clock=clock)
    trail.note(Event.STARTED)
    old = trail.path.read_text().replace('"EventDateTime":"2', '"EventDateTime":"1')
    trail.path.write_text(old)
    clock.now += 3600
    trail.settle()
    trail.note(Event.STOPPED)
    assert (tmp_path / "audit.1.jsonl").read_text() == old
    assert len(lines(trail.path)) == 1


def test_a_file_dropped_before_its_time_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dropped = counted()
    trail = AuditTrail(tmp_path, AuditConfig(file_mib=1, files=2), None, dropped)
    for letter in "abcd":
        trail.note(Event.READ, why=letter * 600_000)
    assert dropped._value.get() == 2
    assert "audit.keep_days" in caplog.text
