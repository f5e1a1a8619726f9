"""The spool's format: what a log's bytes mean.

A log begins with a file header and goes on with records, one behind the other.
All numbers are little-endian.

===========  =====  ==================================================
file header  bytes  meaning
===========  =====  ==================================================
magic        8      ``BHSPOOL`` and a line feed
version      4      :data:`FORMAT_VERSION`
salt         8      random, so that a record fits only into its own log
crc          4      CRC-32 of the bytes before; this header never changes
===========  =====  ==================================================

=============  =====  ================================================
record header  bytes  meaning
=============  =====  ================================================
magic          4      ``BHrc``, where a reader can find its feet again
kind           1      :class:`RecordKind`
reserved       1      0
key length     2      bytes of the key (UTF-8)
length         4      bytes of the payload
body crc       4      CRC-32 of key and payload, which follow
durable        8      the log was synced up to here when this was written
header crc     4      CRC-32 of salt, the record's offset, the bytes before
=============  =====  ================================================

`durable` tells damage from a torn tail. A writer that dies leaves a tail that
is cut short, and nothing in it was acknowledged: it is cut off. But where a
later record says that the bytes were synced, they were acknowledged, and the
log is damaged. So that the last records have such a witness too, a MARK (a
record without a body) follows each sync.
"""

from __future__ import annotations

import enum
import struct
import zlib
from dataclasses import dataclass

FORMAT_VERSION = 1
FILE_MAGIC = b"BHSPOOL\n"
RECORD_MAGIC = b"BHrc"
MOST_KEY_BYTES = 255
MOST_PAYLOAD_BYTES = 64 * 2**20

_FILE_HEADER = struct.Struct("<8sIQI")
_RECORD_HEADER = struct.Struct("<4sBBHIIQI")
_PLACE = struct.Struct("<QQ")
FILE_HEADER_BYTES = _FILE_HEADER.size
RECORD_HEADER_BYTES = _RECORD_HEADER.size
_CRC_BYTES = 4


class RecordKind(enum.IntEnum):
    """What a record's payload is. A new kind needs a new format version."""

    MARK = 0  # the spool's own; see the module
    OPEN = 1
    SLICE = 2
    END = 3


@dataclass(frozen=True, slots=True)
class Record:
    """Something to be kept.

    Parameters
    ----------
    kind
        What it is; not MARK.
    key
        Names it within the scan (a slice's SOP Instance UID), at most 255 bytes in UTF-8.
    payload
        Any bytes, at most 64 MiB.

    Raises
    ------
    ValueError
        When one of them is out of bounds.
    """

    kind: RecordKind
    key: str
    payload: bytes

    def __post_init__(self) -> None:
        if self.kind is RecordKind.MARK:
            raise ValueError("marks are written by the spool itself")
        if len(self.key.encode()) > MOST_KEY_BYTES:
            raise ValueError(f"a key has at most {MOST_KEY_BYTES} bytes")
        if len(self.payload) > MOST_PAYLOAD_BYTES:
            raise ValueError(f"a payload has at most {MOST_PAYLOAD_BYTES} bytes")

    @property
    def size(self) -> int:
        """Bytes that it takes in the log."""
        return RECORD_HEADER_BYTES + len(self.key.encode()) + len(self.payload)


@dataclass(frozen=True, slots=True)
class RecordRef:
    """Where a kept record lies.

    Parameters
    ----------
    scan_id, kind, key
        Whose it is and what.
    offset
        Of the record's header in the log, bytes.
    length
        Of the payload, bytes.
    crc
        CRC-32 of key and payload.
    """

    scan_id: str
    kind: RecordKind
    key: str
    offset: int
    length: int
    crc: int

    @property
    def payload_offset(self) -> int:
        return self.offset + RECORD_HEADER_BYTES + len(self.key.encode())

    @property
    def end(self) -> int:
        return self.payload_offset + self.length


@dataclass(frozen=True, slots=True)
class RecordHeader:
    """A record header that passed its check; `kind` may be of a newer version."""

    kind: int
    key_length: int
    length: int
    crc: int
    durable: int

    @property
    def body_length(self) -> int:
        return self.key_length + self.length


class FormatError(ValueError):
    """Bytes that are not a file header."""


def body_crc(key: bytes, payload: bytes | memoryview) -> int:
    return zlib.crc32(payload, zlib.crc32(key))


def pack_file_header(salt: int, version: int = FORMAT_VERSION) -> bytes:
    head = _FILE_HEADER.pack(FILE_MAGIC, version, salt, 0)[:-_CRC_BYTES]
    return head + struct.pack("<I", zlib.crc32(head))


def unpack_file_header(data: bytes) -> tuple[int, int]:
    """Return (version, salt); FormatError when the bytes are not a file header."""
    if len(data) != FILE_HEADER_BYTES:
        raise FormatError("the file header is cut short")
    magic, version, salt, crc = _FILE_HEADER.unpack(data)
    if magic != FILE_MAGIC:
        raise FormatError("it does not begin as a spool log does")
    if crc != zlib.crc32(data[:-_CRC_BYTES]):
        raise FormatError("the checksum of its header is wrong")
    return int(version), int(salt)


def place(scan_id: str, record: Record, offset: int) -> RecordRef:
    """Return what names a record that will lie at `offset`."""
    crc = body_crc(record.key.encode(), record.payload)
    return RecordRef(scan_id, record.kind, record.key, offset, len(record.payload), crc)


def pack_record(ref: RecordRef, payload: bytes, salt: int, durable: int) -> list[bytes]:
    """Return header, key and payload of a record that will lie where `ref` says."""
    key = ref.key.encode()
    header = RecordHeader(ref.kind, len(key), ref.length, ref.crc, durable)
    return [_pack_header(header, salt, ref.offset), key, payload]


def pack_mark(salt: int, offset: int) -> bytes:
    """Return the mark that says: synced up to `offset`, where the mark itself lies."""
    return _pack_header(RecordHeader(RecordKind.MARK, 0, 0, 0, offset), salt, offset)


def _pack_header(header: RecordHeader, salt: int, offset: int) -> bytes:
    fields = (header.kind, 0, header.key_length, header.length, header.crc, header.durable)
    head = _RECORD_HEADER.pack(RECORD_MAGIC, *fields, 0)[:-_CRC_BYTES]
    return head + struct.pack("<I", _header_crc(head, salt, offset))


def unpack_record_header(data: bytes, salt: int, offset: int) -> RecordHeader | None:
    """Return the header, or None when the bytes are not one of this log at this offset."""
    if len(data) != RECORD_HEADER_BYTES or not data.startswith(RECORD_MAGIC):
        return None
    _, kind, _, key_length, length, crc, durable, header_crc = _RECORD_HEADER.unpack(data)
    if header_crc != _header_crc(data[:-_CRC_BYTES], salt, offset):
        return None
    return RecordHeader(kind, key_length, length, crc, durable)


def _header_crc(head: bytes, salt: int, offset: int) -> int:
    return zlib.crc32(head, zlib.crc32(_PLACE.pack(salt, offset)))
