"""Errors as gRPC statuses with google.rpc.ErrorInfo."""

from __future__ import annotations

from datetime import timedelta
from typing import NoReturn, TypeVar

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from appliance.live.errors import ScanError

DOMAIN = "breathhold"
#: A status travels in a header, twice; on a longer one callers break the connection off.
_MOST_CHARACTERS = 1000
_Request = TypeVar("_Request")
_Response = TypeVar("_Response")


async def abort(
    context: grpc.aio.ServicerContext[_Request, _Response], error: ScanError
) -> NoReturn:
    """End a call with an error's status, its sentence, its reason as ErrorInfo, a hint to retry."""
    code = grpc.StatusCode[error.status.value]
    info = error_details_pb2.ErrorInfo(
        reason=error.reason, domain=DOMAIN, metadata=dict(error.metadata)
    )
    details = [_packed(info)]
    if error.retry_s is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromTimedelta(timedelta(seconds=error.retry_s))
        details.append(_packed(retry))
    message = error.message[:_MOST_CHARACTERS]
    status = status_pb2.Status(code=code.value[0], message=message, details=details)
    wire = rpc_status.to_status(status)
    await context.abort(wire.code, wire.details, wire.trailing_metadata)
    raise AssertionError("abort returned")


def _packed(detail: Message) -> Any:
    packed = Any()
    packed.Pack(detail)
    return packed
