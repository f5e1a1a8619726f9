"""What a process may answer, and what is not taken from one that was taken over."""

from __future__ import annotations

import contextlib
import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.ingest import DEFAULT_LIMITS, SliceRefusedError, read_dicom
from appliance.ingest.answers import (
    MOST_BYTES,
    Answer,
    AnswerError,
    Failed,
    Starved,
    decode,
    encode,
)
from appliance.ingest.tags import Tag
from appliance.scan.slice import Acquisition
from tests.ingest import synthetic

HEADER = read_dicom(
    synthetic.ct_file({Tag.PATIENT_ID: "A\\B \u00e4", Tag.SLICE_THICKNESS: "0.1"})
).header


def refusal() -> Answer:
    with pytest.raises(SliceRefusedError) as refused:
        read_dicom(synthetic.ct_file({Tag.ROWS: 60_000}))
    return refused.value.refusal


def test_every_answer_comes_back_as_it_was() -> None:
    for answer in (HEADER, refusal(), Failed("RuntimeError"), Starved()):
        assert decode(encode(answer), DEFAULT_LIMITS) == answer


def changed(change: Callable[[dict[str, Any]], None]) -> bytes:
    kind, fields = json.loads(encode(HEADER))
    change(fields)
    return json.dumps((kind, fields)).encode()


@pytest.mark.parametrize(
    "field",
    [
        {"matrix": [2048, 4096]},
        {"matrix": [-1, 512]},
        {"matrix": [64.0, 64]},
        {"matrix": [64]},
        {"position": [0, 0, float("nan")]},
        {"position": ["0", 0, 0]},
        {"spacing": [0.0, 1.0]},
        {"orientation": [1, 0, 0, 1, 0, 0]},
        {"digest": "00"},
        {"uids": ["../../etc/passwd", "", "", ""]},
        {"uids": ["1" * 65, "", "", ""]},
        {"patient": ["x" * 5000, ""]},
        {"notices": [["NO_SUCH_REASON", ""]]},
        {"notices": [["GAP", ""]] * 100},
        {"kernel": None},
        {"unix_s": float("inf")},
        {"thickness": True},
    ],
)
def test_a_header_that_cannot_be_is_not_taken(field: dict[str, Any]) -> None:
    assert decode(changed(lambda fields: None), DEFAULT_LIMITS) == HEADER
    with pytest.raises(AnswerError):
        decode(changed(lambda fields: fields.update(field)), DEFAULT_LIMITS)


class Exploit:
    def __reduce__(self) -> tuple[Callable[[str], Any], tuple[str]]:
        return pytest.fail, ("code of the other process ran",)


@pytest.mark.parametrize(
    "packet",
    [
        pickle.dumps(Exploit()),
        b"",
        b"null",
        b"[]",
        b'["slice"]',
        b'["slice", null]',
        b'["slice", {}]',
        b'["refused", ["NO_SUCH_REASON", "", {}]]',
        b'["refused", "abc"]',
        b'["failed", 1]',
        b'["sliced", null]',
        b"[" * MOST_BYTES,
        b'["failed", 1' + b"0" * 5000 + b"]",
        encode(Failed("x")) + b" " * MOST_BYTES,
    ],
)
def test_what_is_no_answer_is_not_taken(packet: bytes) -> None:
    with pytest.raises(AnswerError):
        decode(packet, DEFAULT_LIMITS)


@settings(max_examples=100, deadline=None)
@given(at=st.integers(0, len(encode(HEADER)) - 1), byte=st.integers(0, 255))
def test_a_damaged_answer_is_one_or_is_not_taken(at: int, byte: int) -> None:
    packet = bytearray(encode(HEADER))
    packet[at] = byte
    with contextlib.suppress(AnswerError):
        decode(bytes(packet), DEFAULT_LIMITS)


def test_the_longest_texts_fit() -> None:
    """An honest process never fails to answer: each of two texts may have 4096 bytes."""
    longest = "\u4e2d" * DEFAULT_LIMITS.max_value_bytes
    answer = replace(HEADER, acquisition=Acquisition(longest, longest, "1.2", 1.5))
    assert decode(encode(answer), DEFAULT_LIMITS) == answer
