"""What fuzzing found, and what else asks for much: refused, and within 50 ms and 50 MB."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from appliance.config import ConfigError, load_config
from appliance.ingest import SliceRefusedError, read_dicom, read_raw
from appliance.ingest.apart import ReaderPool
from appliance.ingest.child import ADDRESS_SPACE_BYTES
from appliance.ingest.limits import IngestLimits
from appliance.ingest.tags import Tag
from appliance.scan.masks import decode_runs
from appliance.scan.verdicts import RefusalReason
from appliance.storage.errors import SpoolCorruptError
from appliance.storage.logfile import read_log
from appliance.storage.record import RecordHeader, _pack_header, body_crc, pack_file_header
from breathhold.v1 import scan_pb2 as pb
from tests.fuzz import findings
from tests.fuzz.cost import MOST_BYTES, MOST_SECONDS, Cost
from tests.fuzz.seeds import deflated
from tests.ingest import codecs
from tests.ingest import synthetic as dicom


@pytest.fixture(scope="module")
def costs() -> dict[str, Cost]:
    """Of every case, measured where nothing else runs."""
    command = [sys.executable, "-m", "tests.fuzz.cost", "findings", *findings.DICOM, *findings.RAW]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    measured = {}
    for line in ran.stdout.splitlines():
        name, *cost = json.loads(line)
        measured[name] = Cost(*cost)
    return measured


@pytest.mark.parametrize("name", [*findings.DICOM, *findings.RAW])
def test_refused_within_50_ms_and_50_mb(name: str, costs: dict[str, Cost]) -> None:
    cost = costs[name]
    assert cost.refused
    assert cost.seconds <= MOST_SECONDS
    assert cost.bytes <= MOST_BYTES


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (findings.many_precincts, RefusalReason.TOO_LARGE),
        (findings.many_packets, RefusalReason.TOO_LARGE),
        (findings.precincts_in_a_tile, RefusalReason.TOO_LARGE),
        (findings.many_code_blocks, RefusalReason.TOO_LARGE),
        (findings.second_frame_header, RefusalReason.UNDECODABLE),
        (findings.hardly_any_bits, RefusalReason.TRUNCATED),
        (findings.deflate_within_the_ratio, RefusalReason.TOO_LARGE),
    ],
)
def test_why(make: findings.Make, reason: RefusalReason) -> None:
    with pytest.raises(SliceRefusedError) as caught:
        read_dicom(make())
    assert caught.value.refusal.reason is reason


def test_a_deflated_slice_of_the_largest_matrix_is_read() -> None:
    plane = dicom.stored_pixels(size=findings.SIZE)
    matrix = {Tag.ROWS: findings.SIZE, Tag.COLUMNS: findings.SIZE}
    body = dicom.ct_file(matrix, stored=plane)[len(dicom.file_meta(dicom.EXPLICIT)) :]
    assert read_dicom(deflated(body)).hu.shape == plane.shape


def test_what_is_not_read_does_not_reach_pydicom() -> None:
    """A private element whose type is wrong, and a long one, behind what is read."""
    meta = dicom.file_meta(dicom.EXPLICIT)
    body = dicom.ct_file()[len(meta) :]
    odd = b"\x09\x00\x01\x10" + b"DS\x04\x00" + b"!!!!" + b"\x09\x00\x02\x10" + b"FD\x02\x00ab"
    sound = read_dicom(meta + body)
    split = body.index(dicom.element(Tag.SLICE_THICKNESS, "1.25"))
    assert read_dicom(meta + body[:split] + odd + body[split:]).header.digest == sound.header.digest


@pytest.mark.parametrize(
    "runs",
    [[2**63 - 1, 2**63 - 1, 5], [2**64], [2**63, 2**63], [2**62] * 4, [17], [0, 17], [-1, 4]],
)
def test_runs_that_no_image_holds(runs: list[int]) -> None:
    """The sum of the first wrapped around and numpy wrote past its array."""
    with pytest.raises(ValueError, match="do not fit an image of 4 x 4"):
        decode_runs(runs, 4, 4)


def test_record_with_a_key_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "scan.log"
    log, key = pack_file_header(7), b"\xff\xfe"
    header = RecordHeader(2, len(key), 1, body_crc(key, b"a"), 0)
    path.write_bytes(log + _pack_header(header, 7, len(log)) + key + b"a")
    with pytest.raises(SpoolCorruptError, match=f"damaged at byte {len(log)}"):
        read_log(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a = " + "[" * 5000, "nested too deeply"),
        ("a = " + "[" * 900 + "]" * 900, "nested too deeply"),
        ("[server]\nmax_calls = " + "9" * 5000, "digits"),
        ("[scan]\nquiet_s = inf", "scan.quiet_s: Input should be a finite number"),
    ],
)
def test_configuration_in_words(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "breathhold.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        load_config(path)


def test_orientation_beyond_any_number() -> None:
    """Its square overflowed, which numpy warns of."""
    message = pb.RawSlice(sop_instance_uid="1.2", rows=64, columns=64)
    message.image_position.extend((0, 0, 0))
    message.image_orientation.extend((1e300, 0, 0, 0, 1, 0))
    message.pixel_spacing.extend((1, 1))
    with pytest.raises(SliceRefusedError) as caught:
        read_raw(message, "1.2.3")
    assert caught.value.refusal.reason is RefusalReason.NO_GEOMETRY


def test_a_decoder_that_wants_all_memory_is_refused_it() -> None:
    """With limits that let it ask: the process goes on within its address space."""
    size = 60_000
    limits = IngestLimits(max_rows=size, max_columns=size)
    frame = bytearray(codecs.jpeg_ls_frame(dicom.stored_pixels(size=64)))
    at = frame.index(b"\xff\xf7") + 5
    frame[at : at + 4] = size.to_bytes(2, "big") * 2
    matrix = {Tag.ROWS: size, Tag.COLUMNS: size}
    greedy = dicom.ct_file(matrix, syntax=dicom.JPEG_LS, pixels=[bytes(frame)])
    assert size * size * 2 > ADDRESS_SPACE_BYTES
    pool = ReaderPool(1, limits)
    try:
        assert pool.read(dicom.ct_file()).hu.size
        (before,) = _children()
        with pytest.raises(SliceRefusedError) as caught:
            pool.read(greedy)
        assert caught.value.refusal.reason is RefusalReason.UNDECODABLE
        assert pool.read(dicom.ct_file()).hu.size
        assert _children() == [before]
    finally:
        pool.close()


def _children() -> list[int]:
    found = psutil.Process().children()
    return [one.pid for one in found if "appliance.ingest.child" in " ".join(one.cmdline())]
