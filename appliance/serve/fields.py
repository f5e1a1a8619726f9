"""The strings of a request: none is looked up, repeated or logged that cannot be a name."""

from __future__ import annotations

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from appliance.live.errors import CallStatus, ScanError

_LENGTH = 64


def check_names(request: Message) -> None:
    """Check every string of a request: at most 64 printable characters.

    Raises
    ------
    ScanError
        INVALID_ARGUMENT, naming the field, and not repeating it.
    """
    for field, value in request.ListFields():
        if field.type != FieldDescriptor.TYPE_STRING:
            continue
        if len(value) > _LENGTH or not value.isprintable():
            raise ScanError(
                CallStatus.INVALID_ARGUMENT,
                "MALFORMED_NAME",
                f"{field.name} has at most {_LENGTH} printable characters.",
                {"field": field.name},
            )
