"""The data elements of a DICOM data set, walked without recursion.

A hostile file cannot make this walker recurse, allocate or run long: it keeps
views into the bytes it was given, counts what it passes and stops at the
pixel data. Sequences are stepped through (depth and structure are checked)
but not kept, for nothing an axial CT slice needs lies in one.

Malformed sequences of known length are stepped over and remembered as a
defect; anything that leaves the place of the next element unknown refuses the
file.

References
----------
DICOM PS3.5 section 7 (data elements, sequences) and annex A.4 (fragments).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from appliance.ingest.errors import SliceRefusedError, refuse
from appliance.ingest.limits import IngestLimits
from appliance.scan.verdicts import RefusalReason

PIXEL_DATA = 0x7FE00010
#: Float and Double Float Pixel Data: end the header as Pixel Data does.
FLOAT_PIXEL_DATA = (0x7FE00008, 0x7FE00009)

_ITEM = 0xFFFEE000
_ITEM_END = 0xFFFEE00D
_SEQUENCE_END = 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF
#: VRs whose length takes 4 bytes after 2 reserved ones (PS3.5 table 7.1-1).
_LONG_VRS = frozenset(
    (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
)


@dataclass(frozen=True, slots=True)
class PixelData:
    """Where the pixels lie: one run of bytes, or the fragments of a compressed frame."""

    tag: int
    fragments: tuple[memoryview, ...]
    encapsulated: bool


@dataclass(slots=True)
class Elements:
    """The top level of a data set.

    Parameters
    ----------
    values
        Raw value by tag, without sequences; views into the file.
    sequences
        Tags of the sequences met.
    big_endian
        Byte order of binary values and native pixels.
    pixels
        None when the data set has no pixel data.
    defects
        What is malformed but could be stepped over, in words.
    """

    big_endian: bool = False
    values: dict[int, memoryview] = field(default_factory=dict)
    sequences: set[int] = field(default_factory=set)
    pixels: PixelData | None = None
    defects: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Element:
    """Tag, VR (empty when implicit), place and length of one value."""

    tag: int
    vr: bytes
    start: int
    length: int

    @property
    def end(self) -> int:
        return self.start + self.length


@dataclass(frozen=True, slots=True)
class _Level:
    """One open sequence or item; `end` is None while its length is undefined."""

    is_item: bool
    end: int | None
    implicit: bool


class _MalformedSequenceError(Exception):
    """A sequence does not follow PS3.5 section 7.5."""


def walk(data: memoryview, *, implicit: bool, big_endian: bool, limits: IngestLimits) -> Elements:
    """Read the top level of a data set, up to and with its pixel data.

    Parameters
    ----------
    data
        The data set, without preamble and file meta, inflated.
    implicit, big_endian
        How it is written.
    limits
        Bounds on depth and number of elements.

    Raises
    ------
    SliceRefusedError
        TOO_LARGE beyond a limit, TRUNCATED when the file ends inside an element,
        MALFORMED when the next element cannot be found.
    """
    return _Walker(data, implicit, big_endian, limits).walk()


class _Walker:
    """The state of one walk: a place in the bytes and the counts so far."""

    def __init__(
        self, data: memoryview, implicit: bool, big_endian: bool, limits: IngestLimits
    ) -> None:
        self._data = data
        self._implicit = implicit
        self._limits = limits
        self._tag = struct.Struct(">HH" if big_endian else "<HH")
        self._short = struct.Struct(">H" if big_endian else "<H")
        self._long = struct.Struct(">L" if big_endian else "<L")
        self._count = 0
        self._found = Elements(big_endian=big_endian)

    def walk(self) -> Elements:
        position, previous = 0, -1
        while position + 8 <= len(self._data) and self._found.pixels is None:
            element = self._element(position, self._implicit)
            if element.tag <= previous:
                self._found.defects.add("data elements are not in ascending order")
            previous = max(previous, element.tag if element.tag < _ITEM else previous)
            position = self._pass_top_level(element)
        if 0 < len(self._data) - position < 8 and self._found.pixels is None:
            raise _truncated()
        return self._found

    def _pass_top_level(self, element: _Element) -> int:
        if element.tag == PIXEL_DATA or element.tag in FLOAT_PIXEL_DATA:
            self._found.pixels = self._pixel_data(element)
            return len(self._data)
        if element.tag in (_ITEM_END, _SEQUENCE_END) and element.length == 0:
            self._found.defects.add("a sequence delimiter stands outside a sequence")
            return element.start
        if self._is_sequence(element):
            self._found.sequences.add(element.tag)
            return self._pass_sequence(element)
        self._check_end(element.end)
        self._found.values[element.tag] = self._data[element.start : element.end]
        return element.end

    def _element(self, position: int, implicit: bool) -> _Element:
        self._count += 1
        if self._count > self._limits.max_elements:
            raise refuse(
                RefusalReason.TOO_LARGE,
                "The file has more data elements than are allowed.",
                max_elements=self._limits.max_elements,
            )
        if position + 8 > len(self._data):
            raise _truncated()
        group, number = self._tag.unpack_from(self._data, position)
        tag = group << 16 | number
        vr = b"" if implicit or group == 0xFFFE else bytes(self._data[position + 4 : position + 6])
        if not vr or not vr.isalpha() or not vr.isupper():
            if vr:
                self._found.defects.add("an element without VR in an explicit VR data set")
            (length,) = self._long.unpack_from(self._data, position + 4)
            return _Element(tag, b"", position + 8, length)
        if vr not in _LONG_VRS:
            (length,) = self._short.unpack_from(self._data, position + 6)
            return _Element(tag, vr, position + 8, length)
        if position + 12 > len(self._data):
            raise _truncated()
        (length,) = self._long.unpack_from(self._data, position + 8)
        return _Element(tag, vr, position + 12, length)

    def _is_sequence(self, element: _Element) -> bool:
        if element.vr == b"SQ" or element.length == _UNDEFINED:
            return True
        return element.vr in (b"", b"UN") and self._holds_items(element)

    def _holds_items(self, element: _Element) -> bool:
        """True when a value of unknown VR begins with an item that fits into it."""
        if element.length < 8 or element.end > len(self._data):
            return False
        if self._tag.unpack_from(self._data, element.start) != (_ITEM >> 16, _ITEM & 0xFFFF):
            return False
        (length,) = self._long.unpack_from(self._data, element.start + 4)
        return bool(length == _UNDEFINED or length <= element.length - 8)

    def _pass_sequence(self, element: _Element) -> int:
        """Step over a sequence; return where the element after it begins."""
        try:
            return self._step_through(element)
        except _MalformedSequenceError as error:
            if element.length == _UNDEFINED:
                raise refuse(
                    RefusalReason.MALFORMED, f"The file has a malformed sequence: {error}."
                ) from error
            self._found.defects.add(f"malformed sequence: {error}")
            return element.end

    def _step_through(self, sequence: _Element) -> int:
        levels = [self._open(sequence, self._implicit, outer_end=None)]
        position = sequence.start
        while levels:
            level = levels[-1]
            if level.end is not None and position >= level.end:
                if position > level.end:
                    raise _MalformedSequenceError("an element is longer than its item")
                levels.pop()
                continue
            element = self._nested_element(position, level)
            position = element.start
            if element.tag in (_ITEM_END, _SEQUENCE_END):
                self._close(element, level)
                levels.pop()
            elif not level.is_item:
                levels.append(self._item(element, level))
            elif element.tag == PIXEL_DATA and element.length == _UNDEFINED:
                _, position = self._fragments(element.start)
            elif self._is_sequence(element):
                levels.append(self._open(element, level.implicit, level.end))
                self._check_depth(len(levels))
            else:
                self._check_inner_end(element.end, level.end)
                position = element.end
        return position

    def _nested_element(self, position: int, level: _Level) -> _Element:
        try:
            return self._element(position, level.implicit or not level.is_item)
        except SliceRefusedError as error:
            if error.refusal.reason is RefusalReason.TRUNCATED:
                raise _MalformedSequenceError("it runs past the end of the file") from error
            raise

    def _open(self, element: _Element, implicit: bool, outer_end: int | None) -> _Level:
        """Enter a sequence; UN holds implicit little endian (PS3.5 section 6.2.2 note 2)."""
        unknown = element.vr == b"UN"
        if unknown and element.length == _UNDEFINED and self._found.big_endian:
            raise refuse(
                RefusalReason.MALFORMED,
                "The file is big endian but holds a sequence of unknown type in little endian.",
            )
        if element.length == _UNDEFINED:
            return _Level(False, None, implicit or unknown)
        self._check_inner_end(element.end, outer_end)
        return _Level(False, element.end, implicit or unknown)

    def _item(self, element: _Element, level: _Level) -> _Level:
        if element.tag != _ITEM:
            raise _MalformedSequenceError("something stands where an item should begin")
        if element.length == _UNDEFINED:
            return _Level(True, None, level.implicit)
        self._check_inner_end(element.end, level.end)
        return _Level(True, element.end, level.implicit)

    def _close(self, element: _Element, level: _Level) -> None:
        expected = _ITEM_END if level.is_item else _SEQUENCE_END
        if element.tag != expected or element.length != 0:
            raise _MalformedSequenceError("a delimiter stands in the wrong place")

    def _check_depth(self, levels: int) -> None:
        depth = (levels + 1) // 2
        if depth > self._limits.max_sequence_depth:
            raise refuse(
                RefusalReason.TOO_LARGE,
                "The file nests sequences deeper than is allowed.",
                max_sequence_depth=self._limits.max_sequence_depth,
            )

    def _check_inner_end(self, end: int, outer_end: int | None) -> None:
        if end > (len(self._data) if outer_end is None else outer_end):
            raise _MalformedSequenceError("an element is longer than what holds it")

    def _check_end(self, end: int) -> None:
        if end > len(self._data):
            raise _truncated()

    def _pixel_data(self, element: _Element) -> PixelData:
        if element.length == _UNDEFINED:
            fragments, _ = self._fragments(element.start)
            return PixelData(element.tag, fragments, encapsulated=True)
        stop = min(element.end, len(self._data))
        return PixelData(element.tag, (self._data[element.start : stop],), encapsulated=False)

    def _fragments(self, position: int) -> tuple[tuple[memoryview, ...], int]:
        """Fragments of encapsulated pixel data without the offset table, and where they end."""
        fragments: list[memoryview] = []
        while position + 8 <= len(self._data):
            item = self._element(position, implicit=True)
            if item.tag == _SEQUENCE_END:
                return tuple(fragments[1:]), item.start
            if item.tag != _ITEM:
                raise refuse(
                    RefusalReason.MALFORMED, "The compressed pixel data are not split into items."
                )
            self._check_end(item.end)
            fragments.append(self._data[item.start : item.end])
            position = item.end
        self._found.defects.add("the pixel data have no end mark")
        return tuple(fragments[1:]), position


def _truncated() -> SliceRefusedError:
    return refuse(
        RefusalReason.TRUNCATED, "The file is cut short: it ends in the middle of an element."
    )
