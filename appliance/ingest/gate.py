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
from dataclasses import dataclass

from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.filereader import ENCODED_VR
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from appliance.ingest.errors import SliceRefusedError, refuse
from appliance.ingest.limits import IngestLimits
from appliance.scan.verdicts import RefusalReason

_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF
_LONG_VRS = frozenset(vr.value.encode() for vr in EXPLICIT_VR_LENGTH_32)


class _MalformedSequenceError(Exception):
    """A sequence does not follow PS3.5 section 7.5."""


@dataclass(frozen=True, slots=True)
class Element:
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


@dataclass(frozen=True, slots=True)
class _Level:
    """One open sequence or item; `end` is None while its length is undefined."""

    is_item: bool
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
    """

    def __init__(
        self, data: memoryview, limits: IngestLimits, *, implicit: bool, big_endian: bool
    ) -> None:
        order = ">" if big_endian else "<"
        self._tag, self._short, self._long = (struct.Struct(order + f) for f in ("HH", "H", "L"))
        self._data, self._limits, self._count = data, limits, 0
        self.defects: set[str] = set()
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
        position, highest = 0, -1
        while position < len(self._data) and not stop(self._tag_at(position)):
            element = self.head(position, implicit=self.implicit)
            if element.tag <= highest:
                self.defects.add("data elements are not in ascending order")
            highest = max(highest, min(element.tag, _ITEM - 1))
            position = self._pass_element(element)
        return position

    def head(self, position: int, *, implicit: bool) -> Element:
        """The element whose head lies at `position`; its value may run past the end."""
        self._count_one()
        self._check_head(position + 8)
        tag, vr = self._tag_at(position), bytes(self._data[position + 4 : position + 6])
        if not implicit and self._looks_implicit(position) and tag < _ITEM:
            self.defects.add("an element without VR in an explicit VR data set")
        if implicit or (vr not in ENCODED_VR and not b"AA" <= vr <= b"ZZ"):
            return Element(
                tag, b"", position + 8, self._long.unpack_from(self._data, position + 4)[0]
            )
        if vr not in _LONG_VRS:
            return Element(
                tag, vr, position + 8, self._short.unpack_from(self._data, position + 6)[0]
            )
        self._check_head(position + 12)
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
                raise refuse(
                    RefusalReason.MALFORMED, "The compressed pixel data are not split into items."
                )
            self._check_end(item)
            position = item.end
        self.defects.add("the pixel data have no end mark")
        return len(self._data)

    def _pass_element(self, element: Element) -> int:
        if element.tag == _ITEM_END or (element.tag == _SEQUENCE_END and element.length):
            raise refuse(
                RefusalReason.MALFORMED, "The file has a sequence delimiter outside a sequence."
            )
        if element.tag == _SEQUENCE_END:
            self.defects.add("a sequence delimiter stands outside a sequence")
        if self._is_sequence(element):
            return self._pass_sequence(element)
        if element.undefined:
            return self.pass_fragments(element.start)
        self._check_end(element)
        return element.end

    def _is_sequence(self, element: Element) -> bool:
        """As pydicom decides; one of unknown type and known length it leaves alone."""
        if element.vr not in (b"", b"UN"):
            return element.vr == b"SQ"
        if element.undefined and element.vr == b"UN":
            return True
        if dictionary_has_tag(element.tag):
            return dictionary_VR(element.tag) == "SQ"
        return element.undefined and self._tag_at(element.start) == _ITEM

    def _pass_sequence(self, sequence: Element) -> int:
        """Step over a sequence; a malformed one of known length whole, as a defect."""
        try:
            return self._step_through(sequence)
        except _MalformedSequenceError as error:
            if sequence.undefined:
                raise refuse(
                    RefusalReason.MALFORMED, f"The file has a malformed sequence: {error}."
                ) from error
            self._check_end(sequence)
            self.defects.add(f"malformed sequence: {error}")
            return sequence.end

    def _step_through(self, sequence: Element) -> int:
        levels = [_Level(False, self._end(sequence, len(self._data)), self.implicit)]
        position = sequence.start
        while levels:
            level = levels[-1]
            if level.end is not None and position >= level.end:
                levels.pop()
                continue
            element = self._nested_head(position, level)
            position = element.start
            if element.tag in (_ITEM_END, _SEQUENCE_END):
                _check_delimiter(element, level)
                levels.pop()
            elif not level.is_item:
                levels.append(self._item(element, level))
            elif self._is_sequence(element):
                levels.append(_Level(False, self._end(element, level.end), level.implicit))
                self._check_depth(len(levels))
            elif element.undefined:
                position = self.pass_fragments(position)
            else:
                position = self._end(element, level.end) or position
        return position

    def _nested_head(self, position: int, level: _Level) -> Element:
        try:
            return self.head(position, implicit=level.implicit or not level.is_item)
        except SliceRefusedError as error:
            if error.refusal.reason is RefusalReason.TRUNCATED:
                raise _MalformedSequenceError("it runs past the end of the file") from error
            raise

    def _item(self, element: Element, level: _Level) -> _Level:
        if element.tag != _ITEM:
            raise _MalformedSequenceError("something stands where an item should begin")
        implicit = level.implicit or self._looks_implicit(element.start)
        return _Level(True, self._end(element, level.end), implicit)

    def _end(self, element: Element, outer: int | None) -> int | None:
        if element.undefined:
            return None
        if element.end > (len(self._data) if outer is None else outer):
            raise _MalformedSequenceError("an element is longer than what holds it")
        return element.end

    def _tag_at(self, position: int) -> int:
        self._check_head(position + 4)
        group, number = self._tag.unpack_from(self._data, position)
        return int(group << 16 | number)

    def _looks_implicit(self, position: int) -> bool:
        """No two capitals stand where a VR would, by the rule pydicom follows."""
        return not all(0x40 < byte < 0x5B for byte in self._data[position + 4 : position + 6])

    def _count_one(self) -> None:
        self._count += 1
        if self._count > self._limits.max_elements:
            raise refuse(
                RefusalReason.TOO_LARGE,
                "The file has more data elements than are allowed.",
                max_elements=self._limits.max_elements,
            )

    def _check_depth(self, levels: int) -> None:
        if (levels + 1) // 2 > self._limits.max_sequence_depth:
            raise refuse(
                RefusalReason.TOO_LARGE,
                "The file nests sequences deeper than is allowed.",
                max_sequence_depth=self._limits.max_sequence_depth,
            )

    def _check_head(self, end: int) -> None:
        if end > len(self._data):
            raise refuse(
                RefusalReason.TRUNCATED,
                "The file is cut short: it ends in the middle of an element.",
            )

    def _check_end(self, element: Element) -> None:
        self._check_head(element.end)


def _check_delimiter(element: Element, level: _Level) -> None:
    expected = _ITEM_END if level.is_item else _SEQUENCE_END
    if element.tag != expected or element.length != 0:
        raise _MalformedSequenceError("a delimiter stands in the wrong place")
