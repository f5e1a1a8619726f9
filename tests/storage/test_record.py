import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.storage.record import (
    FILE_HEADER_BYTES,
    FORMAT_VERSION,
    MOST_KEY_BYTES,
    MOST_PAYLOAD_BYTES,
    RECORD_HEADER_BYTES,
    FormatError,
    Record,
    RecordKind,
    body_crc,
    pack_file_header,
    pack_mark,
    pack_record,
    place,
    unpack_file_header,
    unpack_record_header,
)

SALTS = st.integers(0, 2**64 - 1)
OFFSETS = st.integers(0, 2**63)


@given(SALTS)
def test_a_file_header_reads_back(salt: int) -> None:
    assert unpack_file_header(pack_file_header(salt)) == (FORMAT_VERSION, salt)


@given(SALTS, st.integers(0, FILE_HEADER_BYTES * 8 - 1))
def test_any_flipped_bit_of_a_file_header_is_seen(salt: int, bit: int) -> None:
    header = bytearray(pack_file_header(salt))
    header[bit // 8] ^= 1 << bit % 8
    with pytest.raises(FormatError):
        unpack_file_header(bytes(header))


def test_a_short_file_header_is_named() -> None:
    with pytest.raises(FormatError, match="cut short"):
        unpack_file_header(pack_file_header(1)[:-1])


@given(st.text(max_size=60), st.binary(max_size=300), SALTS, OFFSETS, OFFSETS)
def test_a_record_reads_back(
    key: str, payload: bytes, salt: int, offset: int, durable: int
) -> None:
    record = Record(RecordKind.SLICE, key, payload)
    ref = place("ab", record, offset)
    packed = b"".join(pack_record(ref, payload, salt, durable))
    header = unpack_record_header(packed[:RECORD_HEADER_BYTES], salt, offset)
    assert header is not None
    assert (header.kind, header.durable) == (RecordKind.SLICE, durable)
    assert packed[RECORD_HEADER_BYTES:] == key.encode() + payload
    assert header.crc == body_crc(key.encode(), payload) == ref.crc
    assert len(packed) == record.size == ref.end - ref.offset
    assert packed[ref.payload_offset - offset :] == payload


@given(SALTS, OFFSETS, st.integers(0, RECORD_HEADER_BYTES * 8 - 1))
def test_any_flipped_bit_of_a_record_header_is_seen(salt: int, offset: int, bit: int) -> None:
    mark = bytearray(pack_mark(salt, offset))
    mark[bit // 8] ^= 1 << bit % 8
    assert unpack_record_header(bytes(mark), salt, offset) is None


def test_a_record_fits_only_into_its_own_log_and_place() -> None:
    mark = pack_mark(salt=7, offset=100)
    assert unpack_record_header(mark, 7, 100) is not None
    assert unpack_record_header(mark, 8, 100) is None
    assert unpack_record_header(mark, 7, 101) is None
    assert unpack_record_header(mark[:-1], 7, 100) is None


@pytest.mark.parametrize(
    ("kind", "key", "payload", "why"),
    [
        (RecordKind.MARK, "", b"", "marks"),
        (RecordKind.SLICE, "é" * (MOST_KEY_BYTES // 2 + 1), b"", "key"),
        (RecordKind.SLICE, "1.2", bytes(MOST_PAYLOAD_BYTES + 1), "payload"),
    ],
)
def test_a_record_out_of_bounds_cannot_be_made(
    kind: RecordKind, key: str, payload: bytes, why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        Record(kind, key, payload)
