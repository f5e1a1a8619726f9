"""What is fuzzed: each target takes any bytes and lets no error out but the documented ones."""

from __future__ import annotations

import contextlib
import io
import struct
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from google.protobuf.message import DecodeError

from appliance.config import Config, ConfigError, describe, load_config
from appliance.ingest import DEFAULT_LIMITS, SliceRefusedError, peek_uids, read_dicom, read_raw
from appliance.ingest.decoders import decode_frame
from appliance.ingest.syntaxes import Codec
from appliance.live.errors import ScanError
from appliance.live.opening import check_opening
from appliance.live.reading import claimed_uid
from appliance.live.scans import scan_id_of
from appliance.scan.masks import decode_runs, encode_runs
from appliance.scan.slice import Slice
from appliance.storage.errors import SpoolCorruptError, SpoolVersionError
from appliance.storage.logfile import read_log
from appliance.storage.reader import LogReader, read_payload
from appliance.storage.record import (
    FORMAT_VERSION,
    Record,
    RecordHeader,
    RecordKind,
    RecordRef,
    _pack_header,
    body_crc,
    pack_file_header,
    pack_mark,
    pack_record,
    place,
)
from breathhold.v1 import scan_pb2 as pb
from tests.fuzz import seeds
from tests.fuzz.edits import damaged

_SALT = 7
_SERIES = "1.2.3"
_CODECS = (Codec.RLE, Codec.JPEG, Codec.JPEG_LS, Codec.JPEG_2000)


@dataclass(frozen=True, slots=True)
class Target:
    """Something that reads.

    Parameters
    ----------
    run
        Reads; False where it refused. Any exception is a finding.
    seeds
        Inputs to begin with.
    weight
        Its share of the time.
    most
        Length of the longest input, bytes.
    """

    run: Callable[[bytes], bool]
    seeds: Callable[[], Iterable[bytes]]
    weight: int
    most: int


def _check_slice(read: Slice) -> None:
    geometry = read.header.geometry
    assert read.hu.shape == (geometry.rows, geometry.columns)
    assert geometry.rows <= DEFAULT_LIMITS.max_rows
    assert geometry.columns <= DEFAULT_LIMITS.max_columns
    assert read.hu.dtype == np.int16
    assert read.hu.min() >= -1024
    assert len(read.header.sop_instance_uid) <= 64


def run_dicom(data: bytes) -> bool:
    """A whole file."""
    with contextlib.suppress(SliceRefusedError):
        assert all(len(uid) <= 64 for uid in peek_uids(data))
    try:
        _check_slice(read_dicom(data))
    except SliceRefusedError:
        return False
    return True


def _dicom_seeds() -> tuple[bytes, ...]:
    return (*seeds.slices().values(), *seeds.phantom_slices())


@cache
def _bases() -> Sequence[bytes]:
    real = [path.read_bytes() for path in seeds.real_slices()]
    return (*_dicom_seeds(), *real)


def run_edits(data: bytes) -> bool:
    """A sound file with damage in it; real ones among them."""
    return run_dicom(damaged(_bases(), data))


def run_frame(data: bytes) -> bool:
    """A compressed frame, past all that a header would refuse; its first byte names the codec."""
    if not data:
        return False
    size = seeds.SIZE
    try:
        decoded = decode_frame(_CODECS[data[0] % len(_CODECS)], data[1:], size, size)
    except SliceRefusedError:
        return False
    assert decoded.words.shape == (size, size)
    assert decoded.words.dtype == np.uint16
    return True


def _frame_seeds() -> list[bytes]:
    return [bytes((_CODECS.index(codec),)) + frame for codec, frame in seeds.frames()]


def _read_raw(message: pb.RawSlice) -> bool:
    try:
        _check_slice(read_raw(message, _SERIES))
    except SliceRefusedError:
        return False
    return True


def run_raw(data: bytes) -> bool:
    """A RawSlice, with as many pixels as it claims when the first byte is odd."""
    try:
        message = pb.RawSlice.FromString(data[1:])
    except DecodeError:
        return False
    if data[:1] and data[0] % 2 and message.rows * message.columns <= 2**16:
        message.pixels = bytes(range(256)) * (message.rows * message.columns // 128 + 1)
        message.pixels = message.pixels[: message.rows * message.columns * 2]
    return _read_raw(message)


def _raw_slice() -> pb.RawSlice:
    return pb.RawSlice(
        sop_instance_uid="1.2.3.4",
        rows=32,
        columns=32,
        pixels=bytes(2048),
        rescale_slope=1.0,
        rescale_intercept=-1024.0,
        image_position=(-90.0, -80.0, -70.0),
        image_orientation=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        pixel_spacing=(0.7, 0.7),
        slice_thickness=1.25,
    )


def _raw_seeds() -> list[bytes]:
    message = _raw_slice()
    whole = message.SerializeToString()
    message.ClearField("pixels")
    return [b"\0" + whole, b"\1" + message.SerializeToString()]


def run_wire(data: bytes) -> bool:
    """A StreamRequest."""
    try:
        request = pb.StreamRequest.FromString(data)
    except DecodeError:
        return False
    again = pb.StreamRequest.FromString(request.SerializeToString())
    assert again.WhichOneof("request") == request.WhichOneof("request")
    match request.WhichOneof("request"):
        case "open":
            try:
                check_opening(request.open)
            except ScanError:
                return False
            return bool(scan_id_of(request.open.series_instance_uid))
        case "slice":
            claimed_uid(request.slice)
            if request.slice.WhichOneof("content") == "raw":
                return _read_raw(request.slice.raw)
            return run_dicom(request.slice.dicom)
        case _:
            return True


def _wire_seeds() -> list[bytes]:
    slices = [pb.Slice(sequence=1, raw=_raw_slice())]
    slices.append(pb.Slice(sequence=2, dicom=next(iter(seeds.slices().values()))))
    opened = pb.OpenScan(
        study_instance_uid="1.2",
        series_instance_uid=_SERIES,
        station="CT1",
        expected_slices=60,
        send_masks=True,
        patient_id="A",
        acquired_unix_s=1.6e9,
    )
    requests = [pb.StreamRequest(slice=one) for one in slices]
    requests += [pb.StreamRequest(open=opened), pb.StreamRequest(end=pb.EndScan(abandon=True))]
    return [request.SerializeToString() for request in requests]


def run_masks(data: bytes) -> bool:
    """Any bits as a mask there and back; any numbers as runs."""
    if len(data) < 2:
        return False
    rows, columns = 1 + data[0] % 64, 1 + data[1] % 64
    bits = np.resize(np.unpackbits(np.frombuffer(data[1:], np.uint8)), (rows, columns))
    mask = bits.astype(np.bool_)
    runs = encode_runs(mask)
    assert np.array_equal(decode_runs(runs, rows, columns), mask)
    assert not runs or runs[-1] > 0
    whole = data[2 : 2 + len(data[2:]) // 8 * 8]
    words: list[Sequence[int]] = [tuple(data[2:])]
    words += [struct.unpack(f"<{len(whole) // 8}{kind}", whole) for kind in "qQ"]
    words += [struct.unpack(f"<{len(whole) // 4}L", whole)]
    for given in words:
        try:
            decoded = decode_runs(given, rows, columns)
        except ValueError:
            continue
        assert decoded.shape == (rows, columns)
        assert int(decoded.sum()) == sum(given[1::2])
        assert np.array_equal(decode_runs(encode_runs(decoded), rows, columns), decoded)
    return True


def _mask_seeds() -> list[bytes]:
    huge = struct.pack("<3q", 2**63 - 1, 2**63 - 1, 5)
    return [bytes((31, 31)) + bytes(range(64)), bytes((7, 7)) + huge, b"\x3f\x3f" + b"\1" * 40]


@cache
def _log_path() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="breathhold-fuzz-", dir=_memory())) / "scan"
    folder.mkdir()
    return folder / "scan.log"


def _memory() -> Path | None:
    shm = Path("/dev/shm")
    return shm if shm.is_dir() else None


def run_log(data: bytes) -> bool:
    """A log: any bytes, or records with checksums that are right when the first byte is odd."""
    log = _ordered_log(data[1:]) if data[:1] and data[0] % 2 else data[1:]
    path = _log_path()
    path.write_bytes(log)
    try:
        survivors = _survivors(log)
        content = read_log(path)
        if content is None:
            return False
        assert content.end + content.torn_bytes == len(log)
        for ref in content.records:
            assert ref.end <= content.end
            assert len(read_payload(path, ref)) == ref.length
        whole = LogReader(io.BytesIO(log), "scan", content.end).records()
        assert tuple(whole) == content.records == survivors[: len(content.records)]
    except (SpoolCorruptError, SpoolVersionError):
        return False
    return True


def _survivors(log: bytes) -> tuple[RecordRef, ...]:
    """What would be salvaged; whatever the log is, its payloads are what was written."""
    refs = tuple(LogReader(io.BytesIO(log), "scan", len(log)).survivors())
    for ref in refs:
        assert len(read_payload(_log_path(), ref)) == ref.length
    return refs


def _ordered_log(orders: bytes) -> bytes:
    """A log written as ordered, six bytes a record, its keys and payloads from the orders."""
    log = pack_file_header(_SALT, FORMAT_VERSION + (len(orders) % 50 == 49))
    for at in range(0, len(orders) - 5, 6):
        kind, key, length, durable, broken, reserved = orders[at : at + 6]
        name = orders[at : at + key % 32]
        body = (orders * 2)[: length % 64]
        header = RecordHeader(
            kind=kind % 5,
            key_length=len(name),
            length=len(body) << (24 if broken == 1 else 0),
            crc=body_crc(name, body) ^ (broken == 2),
            durable=max(len(log) + durable - 128, 0) if durable else len(log),
        )
        log += _pack_header(header, _SALT, len(log)) + name + body
        log += orders[at : at + reserved % 3] if broken == 3 else b""
    return log


def _log_seeds() -> list[bytes]:
    log = pack_file_header(_SALT)
    for number, kind in enumerate((RecordKind.OPEN, RecordKind.SLICE, RecordKind.END)):
        record = Record(kind, f"1.2.{number}", bytes(range(40)))
        log += b"".join(pack_record(place("scan", record, len(log)), record.payload, _SALT, 24))
        log += pack_mark(_SALT, len(log))
    return [b"\0" + log, b"\1" + bytes((1, 5, 9, 0, 0, 0)) * 4, b"\0" + log[:-9]]


@cache
def _config_path() -> Path:
    return Path(tempfile.mkdtemp(prefix="breathhold-fuzz-", dir=_memory())) / "breathhold.toml"


def run_config(data: bytes) -> bool:
    """A configuration."""
    path = _config_path()
    path.write_bytes(data)
    try:
        describe(load_config(path))
    except ConfigError:
        return False
    return True


def _config_seeds() -> list[bytes]:
    return [describe(Config()).encode(), b'[server]\nlisten = "127.0.0.1:1"\n', b"a = [[1]]"]


TARGETS = {
    "dicom": Target(run_dicom, _dicom_seeds, 3, 2**15),
    "edits": Target(run_edits, lambda: [bytes((n, 0, *[0] * 16)) for n in range(120)], 3, 82),
    "frame": Target(run_frame, _frame_seeds, 3, 2**14),
    "log": Target(run_log, _log_seeds, 2, 2**12),
    "wire": Target(run_wire, _wire_seeds, 2, 2**13),
    "config": Target(run_config, _config_seeds, 1, 2**13),
    "masks": Target(run_masks, _mask_seeds, 1, 2**10),
    "raw": Target(run_raw, _raw_seeds, 1, 2**12),
}
