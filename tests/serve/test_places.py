"""Places for calls: so many in all, fewer of one caller."""

from __future__ import annotations

import contextlib

import pytest

from appliance.access.roles import Caller
from appliance.live.errors import ScanError
from appliance.serve.places import Places

CALL, CHECK = "/breathhold.v1.ScanService/Stream", "/grpc.health.v1.Health/Check"
LASTING = [
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
]


def host(number: int, port: int = 1) -> Caller:
    return Caller(address=f"ipv4:10.0.0.{number}:{port}")


#: Calls that go on to the end of the tests.
_OPEN = contextlib.ExitStack()


def taken(places: Places, caller: Caller, method: str, tries: int) -> int:
    """How many of so many calls get in, all kept open."""
    inside = 0
    for _ in range(tries):
        with contextlib.suppress(ScanError):
            _OPEN.enter_context(places.one(caller, method))
            inside += 1
    return inside


def test_one_caller_leaves_room_for_others() -> None:
    places = Places(most=10, each=4)
    assert taken(places, host(1), CALL, 20) == 4
    assert taken(places, host(2), CALL, 20) == 4
    assert taken(places, host(3), CALL, 20) == 2
    assert taken(places, host(4), CALL, 20) == 0


def test_another_port_is_no_other_caller() -> None:
    places = Places(most=10, each=4)
    assert sum(taken(places, host(1, port), CALL, 1) for port in range(20)) == 4


def test_a_certificate_is_one_caller_wherever_it_calls_from() -> None:
    places = Places(most=10, each=4)
    callers = [Caller("CT1", address=f"ipv4:10.0.0.{number}:1") for number in range(20)]
    assert sum(taken(places, caller, CALL, 1) for caller in callers) == 4
    assert taken(places, Caller("CT2", address="ipv4:10.0.0.1:1"), CALL, 1) == 1


@pytest.mark.parametrize("method", LASTING)
def test_what_needs_no_role_gets_fewer_places(method: str) -> None:
    places = Places(most=256, each=80)
    assert taken(places, host(1), method, 256) == 8
    assert taken(places, host(1), CALL, 256) == 80


def test_health_is_answered_in_a_full_house() -> None:
    places = Places(most=10, each=10)
    assert taken(places, host(1), CALL, 10) == 10
    assert taken(places, host(1), CHECK, 1000) == 32
    assert taken(places, host(2), CHECK, 1) == 1


def test_a_place_is_free_again_after_the_call() -> None:
    places = Places(most=1, each=1)
    for number in range(3):
        with (
            places.one(host(number), CALL),
            pytest.raises(ScanError) as caught,
            places.one(host(9), CALL),
        ):
            pass
    error = caught.value
    assert (error.reason, error.metadata) == ("TOO_MANY_CALLS", {"limit": "1", "of": "appliance"})
    assert error.retry_s


def test_the_log_does_not_grow_with_the_refusals(caplog: pytest.LogCaptureFixture) -> None:
    places = Places(most=1, each=1)
    assert taken(places, host(1), CALL, 1000) == 1
    assert len(caplog.records) == 1
