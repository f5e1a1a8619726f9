"""Reports linked through a real results store."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.followup.follow_ups import FollowUps
from appliance.followup.patients import PatientKeys
from appliance.scan.slice import Acquisition
from appliance.storage.results import Origin, ResultsStore
from breathhold.v1 import scan_pb2, types_pb2
from tests.followup.made_reports import made_report, made_summary

KEYS = PatientKeys(bytes(32))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ResultsStore]:
    with ResultsStore(tmp_path / "results.sqlite") as store:
        yield store


def link(
    store: ResultsStore,
    report: types_pb2.Report,
    *slices: Acquisition,
    opened: scan_pb2.OpenScan | None = None,
) -> Origin:
    """Link a report and save it, as a scan does at its end."""
    follow_ups = FollowUps(store, KEYS)
    origin = asyncio.run(follow_ups.link(report, slices, opened or scan_pb2.OpenScan()))
    store.save_report(report, [], made_summary(report), origin)
    return origin


def taken(patient: str, unix_s: float | None, study: str = "1.9", issuer: str = "") -> Acquisition:
    return Acquisition(patient, issuer, study, unix_s)


def test_the_earliest_slice_dates_the_scan(store: ResultsStore) -> None:
    slices = [taken("p", 9.0), taken("p", 7.0), taken("p", None), taken("", 8.0)]
    for order in (slices, slices[::-1]):
        origin = link(store, made_report("1"), *order)
        assert origin == Origin(KEYS.key("p"), 7.0)


def test_the_second_scan_names_the_first(store: ResultsStore) -> None:
    link(store, made_report("1", 10.0), taken("p", 7.0, "1.1"))
    link(store, made_report("2", 80.0), taken("q", 8.0, "1.2"))
    second = made_report("3", 20.0)
    link(store, second, taken("p", 9.0, "1.3"))
    assert second.follow_up.previous_scan_id == "1"
    assert second.follow_up.patient_key == KEYS.key("p")
    assert second.follow_up.changes[0].change == 10.0
    assert store.report("3") == second
    first = store.report("1")
    assert first is not None
    assert not first.HasField("follow_up")


def by_models(report: types_pb2.Report, **versions: int) -> types_pb2.Report:
    for role, version in versions.items():
        report.models[role].MergeFrom(types_pb2.ModelReference(name=role, version=version))
    return report


def test_what_may_be_the_models_change_is_said(store: ResultsStore) -> None:
    link(store, by_models(made_report("1"), lesion=1, lung=1), taken("p", 7.0, "1.1"))
    second = by_models(made_report("2"), lesion=1, lung=1, lobes=3)
    link(store, second, taken("p", 8.0, "1.2"))
    assert not second.warnings
    third = by_models(made_report("3"), lesion=2, lung=1, lobes=3)
    link(store, third, taken("p", 9.0, "1.3"))
    (warning,) = third.warnings
    assert warning.reason == "MODELS_CHANGED_SINCE"
    assert warning.message.endswith("part of a change may be theirs: lesion 1, now 2.")
    assert third.follow_up.changes


def test_issuers_are_told_apart(store: ResultsStore) -> None:
    link(store, made_report("1"), taken("p", 7.0, "1.1", "A"))
    second = made_report("2")
    link(store, second, taken("p", 9.0, "1.2", "B"))
    assert not second.HasField("follow_up")


def test_a_scan_without_patient_or_time_stands_alone(store: ResultsStore) -> None:
    first = made_report("1", received=5.0)
    assert link(store, first, taken("", None), taken("", None)) == Origin("", 5.0)
    assert not first.HasField("follow_up")
    assert store.course("") == []


def test_a_caller_speaks_for_slices_that_say_nothing(store: ResultsStore) -> None:
    opened = scan_pb2.OpenScan(patient_id="p", acquired_unix_s=3.0)
    assert link(store, made_report("1"), taken("", None), opened=opened) == Origin(
        KEYS.key("p"), 3.0
    )
    assert link(store, made_report("2"), taken("q", 4.0), opened=opened) == Origin(
        KEYS.key("q"), 4.0
    )
    assert link(store, made_report("3"), opened=scan_pb2.OpenScan()).patient_key == ""


def test_mixed_patients_are_said_and_not_compared(store: ResultsStore) -> None:
    link(store, made_report("1"), taken("p", 1.0, "1.1"))
    mixed = made_report("2")
    assert link(store, mixed, taken("p", 2.0, "1.2"), taken("q", 2.0, "1.2")) == Origin("", 2.0)
    assert [warning.reason for warning in mixed.warnings] == ["PATIENT_MIXED"]
    assert not mixed.HasField("follow_up")


def test_the_study_is_the_callers_or_what_all_slices_name(store: ResultsStore) -> None:
    said = made_report("1", study="1.5")
    link(store, said, taken("p", 1.0, "1.6"))
    found = made_report("2")
    link(store, found, taken("p", 1.0, "1.6"), taken("p", 1.0, "1.6"))
    torn = made_report("3")
    link(store, torn, taken("p", 1.0, "1.6"), taken("p", 1.0, "1.7"))
    assert [one.study_instance_uid for one in (said, found, torn)] == ["1.5", "1.6", ""]


def test_a_forgotten_scan_is_followed_no_more(store: ResultsStore) -> None:
    for name, when in (("1", 1.0), ("2", 2.0)):
        link(store, made_report(name), taken("p", when, f"1.{name}"))
    store.forget("2")
    third = made_report("3")
    link(store, third, taken("p", 3.0, "1.3"))
    assert (third.follow_up.previous_scan_id, third.follow_up.earlier_scans) == ("1", 1)
    store.forget("1")
    assert store.report("3") == third
