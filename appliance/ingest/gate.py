"""The gate before pydicom: may it read this data set at all?

pydicom follows sequences by recursion, counts nothing and reads on where bytes
are missing. So the heads of the elements are walked first, without recursion and
without keeping a value, as pydicom will tell them apart: how many there are, how
deep they nest, whether each ends inside what holds it.

References
----------
DICOM PS3.5 sections 7.1 (elements) and 7.5 (sequences), annex A.4 (fragments).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

from pydicom._dicom_dict import DicomDictionary
from pydicom.filereader import ENCODED_VR
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from appliance.ingest.errors import SliceRefusedError, refuse
from appliance.ingest.limits import IngestLimits
from appliance.scan.verdicts import RefusalReason

_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF
_CHARACTER_SET = 0x00080005
_LONG_VRS = frozenset(vr.value.encode() for vr in EXPLICIT_VR_LENGTH_32)
_SEQUENCES = frozenset(tag for tag, (vr, *_) in DicomDictionary.items() if vr == "SQ")


class Element(NamedTuple):
    """Tag, VR (empty when implicit), place and length of one value."""

    tag: int
    vr: bytes
    start: int
    length: int

    @property
    def end(self) -> int:
        """Where the next element begins; meaningless for an undefined length."""
        return self.start + self.length

    @property
    def undefined(self) -> bool:
        return self.length == _UNDEFINED


class _Level(NamedTuple):
    """What is open: the data set, a sequence or an item; `end` is None while unknown."""

    holds_elements: bool
    end: int | None
    implicit: bool


class Gate:
    """Walks over the elements of one data set.

    Parameters
    ----------
    data
        The data set, inflated.
    limits
        `max_elements` and `max_sequence_depth` apply.
    implicit, big_endian
        How the data set is said to be written.

    Attributes
    ----------
    implicit
        Whether it is written without VR; what its first element shows outweighs what is said.
    defects
        What is malformed but can be stepped over, in words.
    places
        Where each element of the top level lies, head included; the last of those that
        have the same tag.
    """

    def __init__(
        self, data: memoryview, limits: IngestLimits, *, implicit: bool, big_endian: bool
    ) -> None:
        order = ">" if big_endian else "<"
        self._tag, self._short, self._long = (struct.Struct(order + f) for f in ("HH", "H", "L"))
        self._data, self._limits = data, limits
        self._count = self._character_set_bytes = 0
        self.defects: set[str] = set()
        self.places: dict[int, slice] = {}
        self.implicit = self._looks_implicit(0) if len(data) >= 6 else implicit
        if self.implicit != implicit:
            self.defects.add(f"elements have {'no' if self.implicit else 'a'} VR against the rule")

    def pass_until(self, stop: Callable[[int], bool]) -> int:
        """Walk the top level; return where the first element lies whose tag is asked for.

        Raises
        ------
        SliceRefusedError
            TOO_LARGE beyond a limit, TRUNCATED when the data end inside an element,
            MALFORMED when the next element cannot be found.
        """
        levels = [_Level(True, None, self.implicit)]
        position, highest = 0, -1
        start, tag = 0, -1
        while True:
            if len(levels) == 1:
                if tag >= 0:
                    self.places[tag] = slice(start, position)
                if position == len(self._data) or stop(tag := self._tag_at(position)):
                    return position
                start = position
                if tag <= highest:
                    self.defects.add("data elements are not in ascending order")
                highest = max(highest, min(tag, _ITEM - 1))
            try:
                position = self._step(position, levels)
            except SliceRefusedError as error:
                position = self._give_up(levels, error)

    def head(self, position: int, *, implicit: bool) -> Element:
        """The element whose head lies at `position`; its value may run past the end."""
        self._count_one()
        self._check(position + 8)
        tag, vr = self._tag_at(position), bytes(self._data[position + 4 : position + 6])
        known = vr in ENCODED_VR
        if not (implicit or known) and self._looks_implicit(position) and tag < _ITEM:
            self.defects.add("an element without VR in an explicit VR data set")
        if implicit or not (known or b"AA" <= vr <= b"ZZ"):
            return Element(
                tag, b"", position + 8, self._long.unpack_from(self._data, position + 4)[0]
            )
        if vr not in _LONG_VRS:
            return Element(
                tag, vr, position + 8, self._short.unpack_from(self._data, position + 6)[0]
            )
        self._check(position + 12)
        return Element(tag, vr, position + 12, self._long.unpack_from(self._data, position + 8)[0])

    def pass_fragments(self, position: int) -> int:
        """Step over the fragments of encapsulated data and their end mark.

        Raises
        ------
        SliceRefusedError
            TRUNCATED, MALFORMED, or TOO_LARGE when there are too many.
        """
        while position + 8 <= len(self._data):
            item = self.head(position, implicit=True)
            if item.tag == _SEQUENCE_END:
                return item.start
            if item.tag != _ITEM:
                raise _malformed("the compressed pixel data are not split into items")
            self._check(item.end)
            position = item.end
        self.defects.add("the pixel data have no end mark")
        return len(self._data)

    def _step(self, position: int, levels: list[_Level]) -> int:
        """Step over one element or into it; return where the next one begins."""
        level = levels[-1]
        if level.end is not None and position >= level.end:
            levels.pop()
            return position
        element = self.head(position, implicit=level.implicit or not level.holds_elements)
        if element.tag == _CHARACTER_SET:
            self._count_character_set(element.length)
        if element.tag in (_ITEM_END, _SEQUENCE_END):
            self._close(element, levels)
        elif not level.holds_elements:
            levels.append(self._item(element, level))
        elif self._is_sequence(element):
            levels.append(_Level(False, self._end(element, level), level.implicit))
            self._check_depth(len(levels) // 2)
        elif element.undefined:
            return self.pass_fragments(element.start)
        else:
            self._end(element, level)
            return element.end
        return element.start

    def _close(self, delimiter: Element, levels: list[_Level]) -> None:
        """Leave an item or a sequence; pydicom ends its reading at an item's end elsewhere."""
        stray = len(levels) == 1 and delimiter.tag == _SEQUENCE_END
        expected = _ITEM_END if levels[-1].holds_elements else _SEQUENCE_END
        if delimiter.length or not (stray or (delimiter.tag == expected and levels[1:])):
            raise _malformed("a delimiter stands in the wrong place")
        if stray:
            self.defects.add("a sequence delimiter stands outside a sequence")
        else:
            levels.pop()

    def _item(self, element: Element, level: _Level) -> _Level:
        if element.tag != _ITEM:
            raise _malformed("something stands where an item should begin")
        implicit = level.implicit or self._looks_implicit(element.start)
        return _Level(True, self._end(element, level), implicit)

    def _give_up(self, levels: list[_Level], error: SliceRefusedError) -> int:
        """Where the outermost open sequence ends, if it says so; pydicom leaves it closed."""
        end = levels[1].end if len(levels) > 1 else None
        if end is None or error.refusal.reason is RefusalReason.TOO_LARGE:
            raise error
        del levels[1:]
        self.defects.add("a sequence is malformed")
        return end

    def _is_sequence(self, element: Element) -> bool:
        """As pydicom decides; one of unknown type and known length it leaves alone."""
        if element.vr not in (b"", b"UN"):
            return element.vr == b"SQ"
        if element.undefined and element.vr == b"UN":
            return True
        if element.tag in DicomDictionary:
            return element.tag in _SEQUENCES
        return element.undefined and self._tag_at(element.start) == _ITEM

    def _end(self, element: Element, level: _Level) -> int | None:
        if element.undefined:
            return None
        self._check(element.end)
        if level.end is not None and element.end > level.end:
            raise _malformed("an element is longer than what holds it")
        return element.end

    def _tag_at(self, position: int) -> int:
        self._check(position + 4)
        group, number = self._tag.unpack_from(self._data, position)
        return int(group << 16 | number)

    def _looks_implicit(self, position: int) -> bool:
        """No two capitals stand where a VR would, by the rule pydicom follows."""
        return not all(0x40 < byte < 0x5B for byte in self._data[position + 4 : position + 6])

    def _count_one(self) -> None:
        self._count += 1
        if self._count > self._limits.max_elements:
            raise _too_large("has more data elements", max_elements=self._limits.max_elements)

    def _count_character_set(self, length: int) -> None:
        self._character_set_bytes += length
        most = self._limits.max_character_set_bytes
        if self._character_set_bytes > most:
            raise _too_large("names more character sets", max_character_set_bytes=most)

    def _check_depth(self, depth: int) -> None:
        most = self._limits.max_sequence_depth
        if depth > most:
            raise _too_large("nests sequences deeper", max_sequence_depth=most)

    def _check(self, end: int) -> None:
        if end > len(self._data):
            raise refuse(
                RefusalReason.TRUNCATED,
                "The file is cut short: it ends in the middle of an element.",
            )


def _malformed(what: str) -> SliceRefusedError:
    return refuse(RefusalReason.MALFORMED, f"The file is malformed: {what}.")


def _too_large(what: str, **limit: int) -> SliceRefusedError:
    return refuse(RefusalReason.TOO_LARGE, f"The file {what} than is allowed.", **limit)
