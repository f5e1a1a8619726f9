"""What a caller is told whose request does not come, or is none."""

from __future__ import annotations

from appliance.live.errors import CallStatus, ScanError


def request_late(seconds: float) -> ScanError:
    return ScanError(
        CallStatus.DEADLINE_EXCEEDED,
        "REQUEST_LATE",
        f"The call was open for {seconds:g} s and no request came.",
        {"request_s": f"{seconds:g}"},
    )


def no_request() -> ScanError:
    return ScanError(
        CallStatus.INVALID_ARGUMENT, "NO_REQUEST", "The call ended and no request had come."
    )


def not_understood() -> ScanError:
    return ScanError(
        CallStatus.INVALID_ARGUMENT,
        "NOT_UNDERSTOOD",
        "A request is no message of this method: its bytes cannot be read.",
    )
