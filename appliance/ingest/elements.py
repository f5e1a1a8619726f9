"""The top level of a DICOM data set, walked without recursion.

A hostile file cannot make this walk recurse, allocate or run long: it keeps
views into the bytes it was given, counts what it passes and stops at the
pixel data. Sequences are stepped through (depth and structure are checked)
but not kept, for nothing an axial CT slice needs lies in one.

References
----------
DICOM PS3.5 section 7 (the data set).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from appliance.ingest.errors import refuse
from appliance.ingest.limits import IngestLimits
from appliance.ingest.reader import ITEM, ITEM_END, SEQUENCE_END, Element, ElementReader, truncated
from appliance.ingest.sequences import PIXEL_DATA, pass_sequence, read_fragments
from appliance.scan.verdicts import RefusalReason

#: Float and Double Float Pixel Data: end the header as Pixel Data does.
_FLOAT_PIXEL_DATA = (0x7FE00008, 0x7FE00009)


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
    reader = ElementReader(data, big_endian, limits)
    found = Elements(big_endian=big_endian, defects=reader.defects)
    position, highest = 0, -1
    while position + 8 <= len(data) and found.pixels is None:
        element = reader.read(position, implicit=implicit)
        if element.tag <= highest:
            found.defects.add("data elements are not in ascending order")
        elif element.tag < ITEM:
            highest = element.tag
        position = _pass_element(reader, element, found, implicit)
    if 0 < len(data) - position < 8 and found.pixels is None:
        raise truncated()
    return found


def _pass_element(reader: ElementReader, element: Element, found: Elements, implicit: bool) -> int:
    """Keep one element of the top level; return where the next one begins."""
    if element.tag == PIXEL_DATA or element.tag in _FLOAT_PIXEL_DATA:
        found.pixels = _read_pixels(reader, element)
        return len(reader.data)
    if element.tag in (ITEM_END, SEQUENCE_END):
        return _pass_stray_delimiter(reader, element)
    if reader.is_sequence(element):
        found.sequences.add(element.tag)
        return pass_sequence(reader, element, implicit=implicit)
    reader.check_end(element)
    found.values[element.tag] = reader.data[element.start : element.end]
    return element.end


def _pass_stray_delimiter(reader: ElementReader, element: Element) -> int:
    if element.length != 0:
        raise refuse(
            RefusalReason.MALFORMED, "The file has a sequence delimiter outside a sequence."
        )
    reader.defects.add("a sequence delimiter stands outside a sequence")
    return element.start


def _read_pixels(reader: ElementReader, element: Element) -> PixelData:
    if element.undefined:
        fragments, _ = read_fragments(reader, element.start)
        return PixelData(element.tag, fragments, encapsulated=True)
    stop = min(element.end, len(reader.data))
    return PixelData(element.tag, (reader.data[element.start : stop],), encapsulated=False)
