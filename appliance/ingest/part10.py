"""Opening a DICOM file: preamble, file meta, transfer syntax, data set, pixel data.

References
----------
DICOM PS3.10 section 7.1 (file meta information).
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from appliance.ingest.elements import Elements, UnreadableValueError, read_elements
from appliance.ingest.errors import refuse
from appliance.ingest.gate import Gate
from appliance.ingest.inflation import inflate
from appliance.ingest.limits import IngestLimits
from appliance.ingest.syntaxes import TRANSFER_SYNTAXES, TransferSyntax
from appliance.ingest.tags import Tag
from appliance.scan.verdicts import RefusalReason

_PREAMBLE_BYTES = 128
_TRANSFER_SYNTAX_UID = 0x00020010
_MEDIA_STORAGE_SOP_CLASS_UID = 0x00020002
_MEDIA_STORAGE_SOP_INSTANCE_UID = 0x00020003
_META_GROUP = 0x0002
_META_TAGS = (
    _TRANSFER_SYNTAX_UID,
    _MEDIA_STORAGE_SOP_CLASS_UID,
    _MEDIA_STORAGE_SOP_INSTANCE_UID,
)
_LONGEST_HEAD = 12
PIXEL_DATA = 0x7FE00010
#: Pixel Data, Float and Double Float Pixel Data: each ends the header.
_PIXEL_DATA_TAGS = (PIXEL_DATA, 0x7FE00008, 0x7FE00009)


@dataclass(frozen=True, slots=True)
class PixelData:
    """Where the pixels lie.

    Parameters
    ----------
    tag
        Pixel Data or one of its floating point kin.
    value
        Native pixels, possibly cut short, or the items of a compressed frame.
    encapsulated
        Which of the two.
    """

    tag: int
    value: memoryview
    encapsulated: bool


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
        Those of the top level that are read and not too long.
    tags
        Of all elements of the top level.
    pixels
        None when the data set has no pixel data.
    defects
        What is malformed but could be stepped over, in words.
    """

    syntax: TransferSyntax
    sop_class_uid: str
    sop_instance_uid: str
    elements: Elements
    tags: frozenset[int]
    pixels: PixelData | None
    defects: frozenset[str]


def check_size(data: bytes | memoryview, limits: IngestLimits) -> None:
    """Refuse a file that is too large to look at.

    Raises
    ------
    SliceRefusedError
        TOO_LARGE.
    """
    if len(data) > limits.max_bytes:
        raise refuse(
            RefusalReason.TOO_LARGE,
            "The file is larger than is allowed.",
            bytes=len(data),
            max_bytes=limits.max_bytes,
        )


def open_part10(data: bytes | memoryview, limits: IngestLimits) -> Part10:
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
    check_size(data, limits)
    defects: set[str] = set()
    view = memoryview(data)
    meta, body = _read_meta(view[_meta_start(view, defects) :], limits, defects)
    syntax = _transfer_syntax(_first_text(meta, _TRANSFER_SYNTAX_UID), limits)
    if syntax.deflated:
        body = memoryview(inflate(body, limits))
    gate, pixels = _pass_data_set(body, syntax, limits, defects)
    return Part10(
        syntax,
        _first_text(meta, _MEDIA_STORAGE_SOP_CLASS_UID),
        _first_text(meta, _MEDIA_STORAGE_SOP_INSTANCE_UID),
        _read(gate, body, frozenset(Tag), syntax.big_endian, limits),
        frozenset(gate.places),
        pixels,
        frozenset(defects),
    )


def _meta_start(data: memoryview, defects: set[str]) -> int:
    """Where the file meta group begins: behind the preamble, where there is one."""
    start = _PREAMBLE_BYTES + 4
    if bytes(data[_PREAMBLE_BYTES:start]) == b"DICM":
        return start
    _check_starts_with_meta(data)
    defects.add("the file has no preamble")
    return 0


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


def _read_meta(
    data: memoryview, limits: IngestLimits, defects: set[str]
) -> tuple[Elements, memoryview]:
    """The file meta group, which is explicit little endian in whatever file, and the rest.

    Its end is found element by element: its stated length is often wrong.
    """
    gate = Gate(data, limits, implicit=False, big_endian=False)
    end = gate.pass_until(lambda tag: tag >> 16 != _META_GROUP)
    if end:
        defects |= {f"file meta information: {defect}" for defect in gate.defects}
    return _read(gate, data, _META_TAGS, False, limits), data[end:]


def _pass_data_set(
    data: memoryview, syntax: TransferSyntax, limits: IngestLimits, defects: set[str]
) -> tuple[Gate, PixelData | None]:
    gate = Gate(data, limits, implicit=syntax.implicit, big_endian=syntax.big_endian)
    end = gate.pass_until(lambda tag: tag in _PIXEL_DATA_TAGS)
    pixels = _find_pixels(gate, data, end) if end < len(data) else None
    defects |= gate.defects
    return gate, pixels


def _read(
    gate: Gate, data: memoryview, wanted: Container[int], big_endian: bool, limits: IngestLimits
) -> Elements:
    """The wanted elements alone: what else a file holds costs no more than the gate's walk."""
    most = limits.max_value_bytes + _LONGEST_HEAD
    pieces = [
        data[place]
        for tag, place in gate.places.items()
        if tag in wanted and place.stop - place.start <= most
    ]
    return read_elements(
        memoryview(b"".join(pieces)),
        implicit=gate.implicit,
        big_endian=big_endian,
        max_value_bytes=limits.max_value_bytes,
    )


def _find_pixels(gate: Gate, data: memoryview, position: int) -> PixelData:
    element = gate.head(position, implicit=gate.implicit)
    end = gate.pass_fragments(element.start) if element.undefined else element.end
    return PixelData(element.tag, data[element.start : end], element.undefined)


def _first_text(elements: Elements, tag: int) -> str:
    try:
        return str(next(iter(elements.values(tag)), "")).strip("\0 ")
    except UnreadableValueError:
        return ""


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
