from __future__ import annotations

import numpy as np
import pytest

from appliance.ingest import SliceRefusedError
from appliance.ingest.codestream import (
    check_complete,
    read_jpeg_2000_header,
    read_jpeg_header,
)
from appliance.scan.verdicts import RefusalReason
from tests.ingest import codecs

PLANE = (np.arange(64 * 48).reshape(64, 48) % 4000).astype(np.uint16)


def test_jpeg_lossless_header() -> None:
    header = read_jpeg_header(codecs.jpeg_lossless(PLANE, precision=12))
    assert (header.rows, header.columns, header.components) == (64, 48, 1)
    assert (header.precision, header.signed, header.process) == (12, None, 0xC3)


def test_jpeg_ls_header() -> None:
    header = read_jpeg_header(codecs.jpeg_ls_frame(PLANE))
    assert (header.rows, header.columns, header.process) == (64, 48, 0xF7)


@pytest.mark.parametrize("signed", [False, True])
def test_jpeg_2000_header(signed: bool) -> None:
    header = read_jpeg_2000_header(
        codecs.jpeg_2000(PLANE.view(np.int16) if signed else PLANE, bits=13)
    )
    assert (header.rows, header.columns, header.components) == (64, 48, 1)
    assert (header.precision, header.signed) == (13, signed)


@pytest.mark.parametrize("frame", [b"", b"\xff\xd8", b"\xff\xd8\xff\xc3\x00", bytes(100)])
def test_no_header(frame: bytes) -> None:
    for read in (read_jpeg_header, read_jpeg_2000_header):
        with pytest.raises(SliceRefusedError) as caught:
            read(frame)
        assert caught.value.refusal.reason is RefusalReason.UNDECODABLE


def test_end_mark_is_asked_for() -> None:
    frame = codecs.jpeg_2000(PLANE)
    check_complete(frame + b"\0")
    with pytest.raises(SliceRefusedError) as caught:
        check_complete(frame[:-2])
    assert caught.value.refusal.reason is RefusalReason.TRUNCATED
