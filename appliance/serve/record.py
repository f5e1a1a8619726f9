"""What a call did, for the audit trail."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field

from appliance.access.audit import AuditTrail, Event, Outcome
from appliance.access.roles import Caller


@dataclass(slots=True)
class CallRecord:
    """What a service knows of the scan that a call is about, for the audit trail."""

    scan_id: str = ""
    uids: dict[str, str] = field(default_factory=dict)


_CALL: ContextVar[CallRecord] = ContextVar("call")


def call_record() -> CallRecord:
    """Of the call that is being answered; what is said of it outside a call is lost."""
    return _CALL.get(CallRecord())


def begin_record() -> None:
    """Say that this task answers a call of which nothing is known yet."""
    _CALL.set(CallRecord())


def write_down(
    trail: AuditTrail,
    event: Event,
    caller: Caller,
    method: str,
    outcome: Outcome = Outcome.SUCCESS,
    why: str = "",
) -> None:
    """Note the call that is being answered in the trail."""
    call = call_record()
    trail.note(
        event,
        who=caller.name,
        address=caller.address,
        method=method,
        outcome=outcome,
        why=why,
        scan_id=call.scan_id,
        uids=call.uids,
    )
