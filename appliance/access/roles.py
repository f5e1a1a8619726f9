"""Who a caller is, what it may do, and which call asks for what."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass

from appliance.config import AccessConfig


class Role(enum.Enum):
    """What a caller is here for."""

    CONSOLE = "console"  # sends its own scans
    DASHBOARD = "dashboard"  # watches every scan
    OPERATOR = "operator"  # asks about the appliance itself, and says which models serve
    MONITOR = "monitor"  # asks about the appliance itself, and changes nothing


ALL_ROLES = frozenset(Role)
#: Names that the configuration lists are no longer; of others so much is repeated and logged.
_LENGTH = 64
_SCANS, _TRIAGE, _MODELS = (
    f"/breathhold.v1.{name}Service/" for name in ("Scan", "Triage", "Model")
)
#: Roles that may call a method; where it is all of them, whoever has a certificate. A console
#: gets reports and masks of its own scans alone.
ROLES_OF_METHOD: Mapping[str, frozenset[Role]] = {
    f"{_SCANS}Stream": frozenset({Role.CONSOLE}),
    f"{_TRIAGE}Watch": frozenset({Role.DASHBOARD}),
    f"{_TRIAGE}ListScans": frozenset({Role.DASHBOARD}),
    f"{_TRIAGE}GetReport": frozenset({Role.DASHBOARD, Role.CONSOLE}),
    f"{_TRIAGE}GetMasks": frozenset({Role.DASHBOARD, Role.CONSOLE}),
    f"{_TRIAGE}GetCourse": frozenset({Role.DASHBOARD}),
    f"{_MODELS}ListModels": frozenset({Role.OPERATOR, Role.MONITOR}),
    f"{_MODELS}UseModel": frozenset({Role.OPERATOR}),
    f"{_MODELS}RollBackModel": frozenset({Role.OPERATOR}),
    f"{_MODELS}ReloadModels": frozenset({Role.OPERATOR}),
    "/grpc.health.v1.Health/Check": ALL_ROLES,
    "/grpc.health.v1.Health/Watch": ALL_ROLES,
    "/grpc.health.v1.Health/List": ALL_ROLES,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": ALL_ROLES,
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls.

    Parameters
    ----------
    name
        By its certificate, as the configuration lists it; empty for a caller without one.
    roles
        What it may do.
    address
        Where the call comes from.
    """

    name: str = ""
    roles: frozenset[Role] = ALL_ROLES
    address: str = ""

    def may(self, method: str) -> bool:
        """Whether it may call a method, by its full name; one that is not known it may not."""
        return self.has_one(ROLES_OF_METHOD.get(method, frozenset()))

    def has_one(self, roles: frozenset[Role]) -> bool:
        """Whether it has one of these roles; what is open to all needs none."""
        return roles == ALL_ROLES or bool(self.roles & roles)

    def may_read(self, owner: str) -> bool:
        """Whether it may read a scan that was sent by `owner` (empty: nobody knows who)."""
        return Role.DASHBOARD in self.roles or owner in ("", self.name)


_CALLER: ContextVar[Caller] = ContextVar("caller")


def answer_for(caller: Caller) -> None:
    """Say who makes the call that this task answers."""
    _CALLER.set(caller)


def caller() -> Caller:
    """Who makes the call that is being answered; outside a call, someone who may do all."""
    return _CALLER.get(Caller())


def identify(names: Iterable[str], access: AccessConfig, address: str = "") -> Caller:
    """The caller with these names.

    Parameters
    ----------
    names
        Common name and subject alternative names of its certificate, as verified.
    access
        Which names have which role. A name that is not listed has none.
    """
    listed = {
        Role.CONSOLE: access.consoles,
        Role.DASHBOARD: access.dashboards,
        Role.OPERATOR: access.operators,
        Role.MONITOR: access.monitors,
    }
    names = list(dict.fromkeys(name for name in names if name))
    roles = frozenset(role for role, known in listed.items() if set(names) & set(known))
    known = {name for lists in listed.values() for name in lists}
    name = next((name for name in names if name in known), names[0][:_LENGTH] if names else "")
    return Caller(name, roles, address)
