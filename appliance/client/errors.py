"""gRPC statuses as one exception with a sentence and a reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status

DOMAIN = "breathhold"

#: What gRPC answers, without a word of the appliance, when a connection breaks.
_BROKEN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL, grpc.StatusCode.CANCELLED)
_PASSING_REASONS = ("TOO_MANY_CALLS", "TOO_MANY_SCANS", "DISK_FULL")


@dataclass(eq=False)
class ClientError(Exception):
    """A call that failed.

    Parameters
    ----------
    code
        The gRPC status code.
    reason
        Machine-readable, from google.rpc.ErrorInfo; empty when the appliance
        said none (the connection broke, nobody listens).
    message
        One sentence for people.
    metadata
        The values that led to it.
    retry_s
        When the appliance says it is worth to try again, s; None when it does not.
    """

    code: grpc.StatusCode
    reason: str
    message: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    retry_s: float | None = None

    def __str__(self) -> str:
        return self.message

    @property
    def passing(self) -> bool:
        """True when the same call may succeed a little later."""
        if self.reason:
            asked_to = self.retry_s is not None or self.reason in _PASSING_REASONS
            return asked_to or self.code is grpc.StatusCode.UNAVAILABLE
        return self.code in _BROKEN


def from_rpc(error: grpc.RpcError, target: str) -> ClientError:
    """The exception for a failed call to `target`."""
    code, details = error.code(), error.details() or ""
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    if _detail(error, info) and info.domain == DOMAIN:
        retry_s = retry.retry_delay.ToTimedelta().total_seconds() if _detail(error, retry) else None
        return ClientError(code, info.reason, details, dict(info.metadata), retry_s)
    if code is grpc.StatusCode.UNAVAILABLE:
        message = f"The appliance at {target} cannot be reached."
    elif code in _BROKEN:
        message = f"The connection to the appliance at {target} broke."
    else:
        message = f"The appliance at {target} answered {code.name}: {details}"
    return ClientError(code, "", message)


def _detail(error: grpc.RpcError, found: Message) -> bool:
    """Whether the error carries a detail of this kind, which `found` then holds."""
    status = rpc_status.from_call(cast(grpc.Call, error))
    return any(detail.Unpack(found) for detail in (status.details if status else ()))
