"""Names to roles, and roles to methods."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf.descriptor import FileDescriptor

from appliance.access.audit import AuditTrail
from appliance.access.roles import ALL_ROLES, ROLES_OF_METHOD, Caller, Role, identify
from appliance.config import AccessConfig, AuditConfig
from appliance.live.board import Board
from appliance.metrics import Metrics
from appliance.serve.http import HttpSide
from appliance.serve.page_guard import ROLES_OF_PAGE, PageGuard
from breathhold.v1 import model_pb2, scan_pb2, triage_pb2

ACCESS = AccessConfig(consoles=("CT1",), dashboards=("Desk", "CT1"), operators=("ops.hospital",))


@pytest.mark.parametrize("file", [scan_pb2.DESCRIPTOR, triage_pb2.DESCRIPTOR, model_pb2.DESCRIPTOR])
def test_each_method_of_the_wire_has_its_roles(file: FileDescriptor) -> None:
    methods = {
        f"/{service.full_name}/{method.name}"
        for service in file.services_by_name.values()
        for method in service.methods
    }
    assert methods
    assert methods <= ROLES_OF_METHOD.keys()


def test_each_page_has_its_roles(tmp_path: Path) -> None:
    guard = PageGuard(ACCESS, True, AuditTrail(tmp_path, AuditConfig()))
    side = HttpSide(Metrics(), Board(), lambda: True, lambda: None, guard)
    routed = {route.resource.canonical for route in side.application().router.routes()}
    assert routed == ROLES_OF_PAGE.keys()


def test_a_name_may_have_several_roles() -> None:
    assert identify(["CT1"], ACCESS).roles == {Role.CONSOLE, Role.DASHBOARD}


def test_an_alternative_name_counts_like_the_common_one() -> None:
    caller = identify(["somebody", "ops.hospital"], ACCESS, "ipv4:10.0.0.1:5")
    assert caller == Caller("ops.hospital", frozenset({Role.OPERATOR}), "ipv4:10.0.0.1:5")


@pytest.mark.parametrize("names", [[], [""], ["ct1"], ["CT1 "], ["Stranger"]])
def test_a_name_that_is_not_listed_may_nothing(names: list[str]) -> None:
    caller = identify(names, ACCESS)
    open_to_it = {method for method in ROLES_OF_METHOD if caller.may(method)}
    assert open_to_it
    assert not any(method.startswith("/breathhold") for method in open_to_it)


def test_a_method_that_nobody_thought_of_is_closed_to_all() -> None:
    assert not Caller(roles=ALL_ROLES).may("/breathhold.v1.ScanService/Delete")


def test_a_console_reads_its_own_scans_and_those_nobody_is_known_to_have_sent() -> None:
    console = Caller("CT1", frozenset({Role.CONSOLE}))
    assert console.may_read("CT1")
    assert console.may_read("")
    assert not console.may_read("CT2")
    assert Caller("Desk", frozenset({Role.DASHBOARD})).may_read("CT2")
