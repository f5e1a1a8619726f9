from __future__ import annotations

import zlib

import pytest

from appliance.ingest import IngestLimits, SliceRefusedError
from appliance.ingest.inflation import inflate
from appliance.scan.verdicts import RefusalReason


def deflated(data: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflater.compress(data) + deflater.flush()


def test_stream_is_inflated_up_to_its_end() -> None:
    assert inflate(memoryview(deflated(b"data set") + b"\0\0"), IngestLimits()) == b"data set"


@pytest.mark.parametrize(
    ("body", "limits", "reason"),
    [
        (deflated(bytes(range(256)) * 9)[:-3], IngestLimits(), RefusalReason.TRUNCATED),
        (b"", IngestLimits(), RefusalReason.TRUNCATED),
        (b"\xff" * 20, IngestLimits(), RefusalReason.MALFORMED),
        (deflated(bytes(1000)), IngestLimits(max_bytes=999), RefusalReason.TOO_LARGE),
        (deflated(bytes(2**23)), IngestLimits(max_inflation=10), RefusalReason.TOO_LARGE),
    ],
)
def test_refusals(body: bytes, limits: IngestLimits, reason: RefusalReason) -> None:
    with pytest.raises(SliceRefusedError) as caught:
        inflate(memoryview(body), limits)
    assert caught.value.refusal.reason is reason
