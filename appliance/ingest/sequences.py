"""Stepping over sequences, without recursion and without keeping them.

References
----------
DICOM PS3.5 section 7.5 (sequences), annex A.4 (fragments).
"""

from __future__ import annotations

from dataclasses import dataclass

from appliance.ingest.errors import SliceRefusedError, refuse
from appliance.ingest.reader import ITEM, ITEM_END, SEQUENCE_END, Element, ElementReader
from appliance.scan.verdicts import RefusalReason

PIXEL_DATA = 0x7FE00010


class _MalformedSequenceError(Exception):
    """A sequence does not follow PS3.5 section 7.5."""


@dataclass(frozen=True, slots=True)
class _Level:
    """One open sequence or item; `end` is None while its length is undefined."""

    is_item: bool
    end: int | None
    implicit: bool


def pass_sequence(reader: ElementReader, sequence: Element, *, implicit: bool) -> int:
    """Step over a sequence; return where the element after it begins.

    A malformed sequence of known length is stepped over whole and remembered as a
    defect of the reader.

    Raises
    ------
    SliceRefusedError
        TOO_LARGE beyond a limit, MALFORMED when the end cannot be found.
    """
    try:
        return _step_through(reader, sequence, implicit)
    except _MalformedSequenceError as error:
        if sequence.undefined:
            raise refuse(
                RefusalReason.MALFORMED, f"The file has a malformed sequence: {error}."
            ) from error
        reader.check_end(sequence)
        reader.defects.add(f"malformed sequence: {error}")
        return sequence.end


def read_fragments(reader: ElementReader, position: int) -> tuple[tuple[memoryview, ...], int]:
    """Fragments of encapsulated pixel data without the offset table, and where they end.

    Raises
    ------
    SliceRefusedError
        TRUNCATED, MALFORMED, or TOO_LARGE when there are too many.
    """
    fragments: list[memoryview] = []
    while position + 8 <= len(reader.data):
        item = reader.read(position, implicit=True)
        if item.tag == SEQUENCE_END:
            return tuple(fragments[1:]), item.start
        if item.tag != ITEM:
            raise refuse(
                RefusalReason.MALFORMED, "The compressed pixel data are not split into items."
            )
        reader.check_end(item)
        fragments.append(reader.data[item.start : item.end])
        position = item.end
    reader.defects.add("the pixel data have no end mark")
    return tuple(fragments[1:]), position


def _step_through(reader: ElementReader, sequence: Element, implicit: bool) -> int:
    levels = [_open(reader, sequence, implicit, len(reader.data))]
    position = sequence.start
    while levels:
        level = levels[-1]
        if level.end is not None and position >= level.end:
            levels.pop()
            continue
        element = _nested_element(reader, position, level)
        position = element.start
        if element.tag in (ITEM_END, SEQUENCE_END):
            _check_delimiter(element, level)
            levels.pop()
        elif not level.is_item:
            levels.append(_item(reader, element, level))
        elif element.tag == PIXEL_DATA and element.undefined:
            _, position = read_fragments(reader, element.start)
        elif reader.is_sequence(element):
            levels.append(_open(reader, element, level.implicit, level.end))
            _check_depth(reader, len(levels))
        else:
            _check_fits(reader, element, level.end)
            position = element.end
    return position


def _nested_element(reader: ElementReader, position: int, level: _Level) -> Element:
    try:
        return reader.read(position, implicit=level.implicit or not level.is_item)
    except SliceRefusedError as error:
        if error.refusal.reason is RefusalReason.TRUNCATED:
            raise _MalformedSequenceError("it runs past the end of the file") from error
        raise


def _open(reader: ElementReader, element: Element, implicit: bool, outer: int | None) -> _Level:
    """Enter a sequence; UN holds implicit little endian (PS3.5 section 6.2.2 note 2)."""
    unknown = element.vr == b"UN"
    if unknown and element.undefined and reader.big_endian:
        raise refuse(
            RefusalReason.MALFORMED,
            "The file is big endian but holds a sequence of unknown type in little endian.",
        )
    return _Level(False, _end(reader, element, outer), implicit or unknown)


def _item(reader: ElementReader, element: Element, level: _Level) -> _Level:
    if element.tag != ITEM:
        raise _MalformedSequenceError("something stands where an item should begin")
    return _Level(True, _end(reader, element, level.end), level.implicit)


def _end(reader: ElementReader, element: Element, outer: int | None) -> int | None:
    if element.undefined:
        return None
    _check_fits(reader, element, outer)
    return element.end


def _check_fits(reader: ElementReader, element: Element, outer: int | None) -> None:
    if element.end > (len(reader.data) if outer is None else outer):
        raise _MalformedSequenceError("an element is longer than what holds it")


def _check_delimiter(element: Element, level: _Level) -> None:
    expected = ITEM_END if level.is_item else SEQUENCE_END
    if element.tag != expected or element.length != 0:
        raise _MalformedSequenceError("a delimiter stands in the wrong place")


def _check_depth(reader: ElementReader, levels: int) -> None:
    if (levels + 1) // 2 > reader.limits.max_sequence_depth:
        raise refuse(
            RefusalReason.TOO_LARGE,
            "The file nests sequences deeper than is allowed.",
            max_sequence_depth=reader.limits.max_sequence_depth,
        )
