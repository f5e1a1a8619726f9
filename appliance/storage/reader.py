"""Reads a log: its records, where its sound part ends, and whether it is damaged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from appliance.storage.errors import SpoolCorruptError, SpoolReadError, SpoolVersionError
from appliance.storage.record import (
    FILE_HEADER_BYTES,
    FORMAT_VERSION,
    MOST_PAYLOAD_BYTES,
    RECORD_HEADER_BYTES,
    RECORD_MAGIC,
    FormatError,
    RecordHeader,
    RecordKind,
    RecordRef,
    body_crc,
    unpack_file_header,
    unpack_record_header,
)

_CHUNK = 2**20


@dataclass(frozen=True, slots=True)
class LogContent:
    """What a log holds.

    Parameters
    ----------
    records
        In the order in which they were written, marks left out.
    salt
        From the file header.
    end
        Offset behind the last sound record, bytes.
    torn_bytes
        How many unacknowledged bytes lie behind `end`.
    """

    records: tuple[RecordRef, ...]
    salt: int
    end: int
    torn_bytes: int


class LogReader:
    """Reads one open log.

    Parameters
    ----------
    file
        Open for reading, binary.
    scan_id
        Whose log it is.
    size
        Bytes to look at; what lies behind is not read.

    Raises
    ------
    SpoolCorruptError
        When the file header is damaged.
    SpoolVersionError
        When a newer Breathhold wrote it.
    """

    def __init__(self, file: BinaryIO, scan_id: str, size: int) -> None:
        self._file = file
        self._scan_id = scan_id
        self._size = size
        self.salt = self._read_file_header()

    def _read_file_header(self) -> int:
        try:
            version, salt = unpack_file_header(self._read(0, FILE_HEADER_BYTES))
        except FormatError as error:
            raise SpoolCorruptError(f"the log of scan {self._scan_id}: {error}") from None
        if version > FORMAT_VERSION:
            raise newer_version(self._scan_id, f"version {version}")
        return salt

    def records(self) -> Iterator[RecordRef]:
        """Yield the records of a log all of which is synced, oldest first.

        Raises
        ------
        SpoolCorruptError, SpoolVersionError
            As :meth:`content`, after the sound records before the damage.
        """
        end = FILE_HEADER_BYTES
        for ref in self._sound():
            end = ref.end
            if ref.kind is not RecordKind.MARK:
                yield ref
        if end != self._size:
            raise self._damaged(end)

    def _sound(self) -> Iterator[RecordRef]:
        """Yield the sound records from the front, marks among them."""
        offset = FILE_HEADER_BYTES
        while (ref := self._record(offset)) is not None:
            yield ref
            offset = ref.end

    def _damaged(self, offset: int) -> SpoolCorruptError:
        return SpoolCorruptError(f"the log of scan {self._scan_id} is damaged at byte {offset}")

    def content(self) -> LogContent:
        """Read all of it.

        Raises
        ------
        SpoolCorruptError
            When acknowledged bytes are damaged.
        SpoolVersionError
            When a record is of a kind that this version does not know.
        """
        found = tuple(self._sound())
        end = found[-1].end if found else FILE_HEADER_BYTES
        if self._synced_beyond(end):
            raise self._damaged(end)
        kept = tuple(ref for ref in found if ref.kind is not RecordKind.MARK)
        return LogContent(kept, self.salt, end, self._size - end)

    def survivors(self) -> Iterator[RecordRef]:
        """Yield every sound record of a damaged log, those behind damage too, marks left out.

        Raises
        ------
        SpoolVersionError
            As :meth:`content`.
        """
        offset = FILE_HEADER_BYTES
        while offset < self._size:
            ref = self._survivor(offset)
            if ref is None:
                candidates = self._candidates(offset + 1)
                offset = next(filter(self._survivor, candidates), self._size)
                continue
            if ref.kind is not RecordKind.MARK:
                yield ref
            offset = ref.end

    def _survivor(self, offset: int) -> RecordRef | None:
        try:
            return self._record(offset)
        except SpoolCorruptError:
            return None

    def _record(self, offset: int) -> RecordRef | None:
        header = self._header(offset)
        if header is None or header.length > MOST_PAYLOAD_BYTES:
            return None
        body = self._read(offset + RECORD_HEADER_BYTES, header.body_length)
        key, payload = body[: header.key_length], memoryview(body)[header.key_length :]
        if len(body) != header.body_length or body_crc(key, payload) != header.crc:
            return None
        kind = self._kind(header)
        try:
            name = key.decode()
        except UnicodeDecodeError:
            raise self._damaged(offset) from None
        return RecordRef(self._scan_id, kind, name, offset, header.length, header.crc)

    def _kind(self, header: RecordHeader) -> RecordKind:
        try:
            return RecordKind(header.kind)
        except ValueError:
            raise newer_version(self._scan_id, f"record kind {header.kind}") from None

    def _header(self, offset: int) -> RecordHeader | None:
        return unpack_record_header(self._read(offset, RECORD_HEADER_BYTES), self.salt, offset)

    def _synced_beyond(self, end: int) -> bool:
        """Whether a record behind `end` witnesses that the bytes at `end` were synced."""
        headers = (self._header(offset) for offset in self._candidates(end))
        return any(header is not None and header.durable > end for header in headers)

    def _candidates(self, start: int) -> Iterator[int]:
        """Yield the offsets behind `start` at which a record might begin."""
        overlap = len(RECORD_MAGIC) - 1
        while start < self._size:
            chunk = self._read(start, _CHUNK + overlap)
            at = chunk.find(RECORD_MAGIC)
            while at >= 0:
                yield start + at
                at = chunk.find(RECORD_MAGIC, at + 1)
            start += _CHUNK

    def _read(self, offset: int, length: int) -> bytes:
        """Read at most `length` bytes, and none behind the size."""
        self._file.seek(offset)
        return self._file.read(max(0, min(length, self._size - offset)))


def newer_version(scan_id: str, what: str) -> SpoolVersionError:
    return SpoolVersionError(
        f"the log of scan {scan_id} was written by a newer Breathhold ({what}, this one reads "
        f"version {FORMAT_VERSION}): start the newer one, or move the log away"
    )


def read_payload(path: Path, ref: RecordRef) -> bytes:
    """Return the payload of a record.

    Raises
    ------
    SpoolCorruptError
        When it is not what was written.
    SpoolReadError
        When the log cannot be read.
    """
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(ref.payload_offset)
            payload = _read_whole(file, ref.length)
    except OSError as error:
        raise SpoolReadError(f"reading the log of scan {ref.scan_id}", error) from error
    if len(payload) != ref.length or body_crc(ref.key.encode(), payload) != ref.crc:
        raise SpoolCorruptError(
            f"the log of scan {ref.scan_id} is damaged in the record at byte {ref.offset}"
        )
    return payload


def _read_whole(file: BinaryIO, length: int) -> bytes:
    """Read `length` bytes, fewer only at the end of the file."""
    data = file.read(length)
    while len(data) < length and (more := file.read(length - len(data))):
        data += more
    return data
