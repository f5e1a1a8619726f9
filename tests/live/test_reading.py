"""A slice message to pixels: what an error says of the slice, and what it says of the box."""

from __future__ import annotations

import errno
import os

import pytest

from appliance.ingest import IngestLimits, SliceRefusedError
from appliance.ingest.errors import ReadersUnavailableError
from appliance.live import reading
from appliance.live.reading import SliceReader, claimed_uid
from appliance.metrics import Metrics
from appliance.scan.verdicts import RefusalReason
from breathhold.v1 import scan_pb2 as pb
from tests.made_scans import raw_slices

READER = SliceReader(IngestLimits(), Metrics())


@pytest.mark.parametrize(
    "error", [MemoryError(), *(OSError(n, os.strerror(n)) for n in (errno.ENOMEM, errno.EMFILE))]
)
def test_want_of_memory_says_nothing_of_the_slice(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    (message,) = raw_slices(1)
    with monkeypatch.context() as patched:
        patched.setattr(reading, "read_raw", fail)
        with pytest.raises(ReadersUnavailableError):
            READER.read(message, "1.2.3")
    assert READER.read(message, "1.2.3").header.sop_instance_uid == "1.2.3.1"


def test_another_error_costs_the_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(reading, "read_raw", fail)
    with pytest.raises(SliceRefusedError) as refused:
        READER.read(raw_slices(1)[0], "1.2.3")
    assert refused.value.refusal.reason is RefusalReason.UNDECODABLE


@pytest.mark.parametrize(
    ("uid", "repeated"),
    [("1.2.3", "1.2.3"), ("1" * 64, "1" * 64), ("1" * 65, ""), ("patient's name", ""), ("", "")],
)
def test_only_a_uid_is_repeated(uid: str, repeated: str) -> None:
    assert claimed_uid(pb.Slice(raw=pb.RawSlice(sop_instance_uid=uid))) == repeated
    assert claimed_uid(pb.Slice(dicom=uid.encode())) == ""
