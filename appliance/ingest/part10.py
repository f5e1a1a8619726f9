"""Opening a DICOM file: preamble, file meta, transfer syntax, inflation.

References
----------
DICOM PS3.10 section 7.1 (file meta information), PS3.5 annex A.5 (deflate).
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from appliance.ingest.elements import Elements, walk
from appliance.ingest.errors import refuse
from appliance.ingest.limits import IngestLimits
from appliance.ingest.syntaxes import TRANSFER_SYNTAXES, TransferSyntax
from appliance.scan.verdicts import RefusalReason

_PREAMBLE_BYTES = 128
_TRANSFER_SYNTAX_UID = 0x00020010
_MEDIA_STORAGE_SOP_CLASS_UID = 0x00020002
_MEDIA_STORAGE_SOP_INSTANCE_UID = 0x00020003
_INFLATE_STEP = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Part10:
    """A file opened: how it is written and its elements.

    Parameters
    ----------
    syntax
        Transfer syntax as the file meta gives it.
    sop_class_uid, sop_instance_uid
        As the file meta gives them, empty when it does not.
    elements
        Top level of the data set.
    """

    syntax: TransferSyntax
    sop_class_uid: str
    sop_instance_uid: str
    elements: Elements


def open_part10(data: bytes, limits: IngestLimits) -> Part10:
    """Open a DICOM file without decoding its pixels.

    Parameters
    ----------
    data
        The whole file.
    limits
        What it may cost.

    Raises
    ------
    SliceRefusedError
        NOT_DICOM, TRANSFER_SYNTAX_UNKNOWN, TRANSFER_SYNTAX_NOT_ALLOWED, TOO_LARGE,
        TRUNCATED or MALFORMED.
    """
    if len(data) > limits.max_bytes:
        raise refuse(
            RefusalReason.TOO_LARGE,
            "The file is larger than is allowed.",
            bytes=len(data),
            max_bytes=limits.max_bytes,
        )
    defects: set[str] = set()
    meta, body = _split(memoryview(data), limits, defects)
    values = _meta_values(meta, limits, defects)
    syntax = _transfer_syntax(values.get(_TRANSFER_SYNTAX_UID, ""), limits)
    if syntax.deflated:
        body = memoryview(_inflate(body, limits))
    elements = walk(body, implicit=syntax.implicit, big_endian=syntax.big_endian, limits=limits)
    elements.defects |= defects
    return Part10(
        syntax,
        values.get(_MEDIA_STORAGE_SOP_CLASS_UID, ""),
        values.get(_MEDIA_STORAGE_SOP_INSTANCE_UID, ""),
        elements,
    )


def _split(
    data: memoryview, limits: IngestLimits, defects: set[str]
) -> tuple[memoryview, memoryview]:
    """Cut the file into its file meta group and its data set."""
    start = _PREAMBLE_BYTES + 4
    if bytes(data[_PREAMBLE_BYTES:start]) != b"DICM":
        start = 0
        _check_starts_with_meta(data)
        defects.add("the file has no preamble")
    end = _meta_end(data, start, limits)
    return data[start:end], data[end:]


def _check_starts_with_meta(data: memoryview) -> None:
    """Refuse what has neither preamble nor file meta, by what its first group looks like."""
    group = bytes(data[:2])
    if group == b"\x02\x00":
        return
    if group in (b"\x08\x00", b"\x00\x08"):
        raise refuse(
            RefusalReason.TRANSFER_SYNTAX_UNKNOWN,
            "The file has no file meta information, so how its pixels are written is unknown.",
        )
    raise refuse(RefusalReason.NOT_DICOM, "This is not a DICOM file.")


def _meta_end(data: memoryview, start: int, limits: IngestLimits) -> int:
    """Where group 0002 ends, found element by element: its stated length is often wrong."""
    position = start
    for _ in range(limits.max_elements):
        if bytes(data[position : position + 2]) != b"\x02\x00" or position + 12 > len(data):
            break
        position = _after_meta_element(data, position)
    if position > len(data):
        raise refuse(RefusalReason.TRUNCATED, "The file is cut short in its first elements.")
    return position


def _after_meta_element(data: memoryview, position: int) -> int:
    vr = bytes(data[position + 4 : position + 6])
    if vr in (b"OB", b"OW", b"UN", b"UT"):
        return position + 12 + int(struct.unpack_from("<L", data, position + 8)[0])
    if vr.isalpha() and vr.isupper():
        return position + 8 + int(struct.unpack_from("<H", data, position + 6)[0])
    return position + 8 + int(struct.unpack_from("<L", data, position + 4)[0])


def _meta_values(meta: memoryview, limits: IngestLimits, defects: set[str]) -> dict[int, str]:
    """UIDs of the file meta group, which is explicit little endian in whatever file."""
    implicit = len(meta) >= 6 and not bytes(meta[4:6]).isalpha()
    if implicit:
        defects.add("the file meta information is written without VR")
    elements = walk(meta, implicit=implicit, big_endian=False, limits=limits)
    defects |= elements.defects
    return {
        tag: bytes(value).decode("latin-1").strip("\0 ")
        for tag, value in elements.values.items()
        if len(value) <= limits.max_value_bytes
    }


def _transfer_syntax(uid: str, limits: IngestLimits) -> TransferSyntax:
    if not uid:
        raise refuse(
            RefusalReason.TRANSFER_SYNTAX_UNKNOWN,
            "The file does not say how its pixels are written (no transfer syntax).",
        )
    syntax = TRANSFER_SYNTAXES.get(uid)
    if syntax is None or uid not in limits.allowed_transfer_syntaxes:
        name = "unknown" if syntax is None else syntax.name
        raise refuse(
            RefusalReason.TRANSFER_SYNTAX_NOT_ALLOWED,
            "The slice is compressed in a way this appliance does not accept.",
            transfer_syntax=uid[:64] if _looks_like_uid(uid) else "malformed",
            name=name,
        )
    return syntax


def _looks_like_uid(text: str) -> bool:
    return all(character in "0123456789." for character in text)


def _inflate(body: memoryview, limits: IngestLimits) -> bytearray:
    """Inflate a deflated data set, never far past what the limits allow."""
    most = min(limits.max_bytes, _INFLATE_STEP + limits.max_inflation * len(body))
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = bytearray()
    pending: bytes | memoryview = body
    try:
        while not inflater.eof and pending:
            inflated += inflater.decompress(pending, _INFLATE_STEP)
            pending = inflater.unconsumed_tail
            if len(inflated) > most:
                raise refuse(
                    RefusalReason.TOO_LARGE,
                    "The file inflates to more bytes than are allowed.",
                    max_bytes=most,
                )
    except zlib.error as error:
        raise refuse(RefusalReason.MALFORMED, "The deflated file cannot be inflated.") from error
    if not inflater.eof:
        raise refuse(RefusalReason.TRUNCATED, "The deflated file is cut short.")
    return inflated
