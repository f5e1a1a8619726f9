"""Single data elements of a DICOM data set: tag, VR, place and length.

References
----------
DICOM PS3.5 section 7.1 (data elements).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from appliance.ingest.errors import SliceRefusedError, refuse
from appliance.ingest.limits import IngestLimits
from appliance.scan.verdicts import RefusalReason

ITEM = 0xFFFEE000
ITEM_END = 0xFFFEE00D
SEQUENCE_END = 0xFFFEE0DD
UNDEFINED_LENGTH = 0xFFFFFFFF
_DELIMITER_GROUP = 0xFFFE
#: VRs whose length takes 4 bytes after 2 reserved ones (PS3.5 table 7.1-1).
_LONG_VRS = frozenset(
    (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
)


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
        return self.length == UNDEFINED_LENGTH


class ElementReader:
    """Reads element heads at any place and counts them.

    Parameters
    ----------
    data
        The data set.
    big_endian
        Its byte order.
    limits
        `max_elements` bounds how many heads are read in all.

    Attributes
    ----------
    defects
        What is malformed but could be stepped over, in words.
    """

    def __init__(self, data: memoryview, big_endian: bool, limits: IngestLimits) -> None:
        self.data = data
        self.big_endian = big_endian
        self.limits = limits
        self.defects: set[str] = set()
        self._tag = struct.Struct(">HH" if big_endian else "<HH")
        self._short = struct.Struct(">H" if big_endian else "<H")
        self._long = struct.Struct(">L" if big_endian else "<L")
        self._count = 0

    def read(self, position: int, *, implicit: bool) -> Element:
        """The element whose head lies at `position`; its value may run past the end.

        Raises
        ------
        SliceRefusedError
            TRUNCATED when the head is cut, TOO_LARGE beyond `max_elements`.
        """
        self._count_one()
        self._check_head(position + 8)
        group, number = self._tag.unpack_from(self.data, position)
        tag = group << 16 | number
        vr = bytes(self.data[position + 4 : position + 6])
        if implicit or group == _DELIMITER_GROUP or not self._is_vr(vr):
            (length,) = self._long.unpack_from(self.data, position + 4)
            return Element(tag, b"", position + 8, length)
        if vr not in _LONG_VRS:
            (length,) = self._short.unpack_from(self.data, position + 6)
            return Element(tag, vr, position + 8, length)
        self._check_head(position + 12)
        (length,) = self._long.unpack_from(self.data, position + 8)
        return Element(tag, vr, position + 12, length)

    def is_sequence(self, element: Element) -> bool:
        """True for SQ, for undefined lengths, and for items under an unknown VR."""
        if element.vr == b"SQ" or element.undefined:
            return True
        return element.vr in (b"", b"UN") and self._begins_with_item(element)

    def check_end(self, element: Element) -> None:
        """Refuse an element whose value runs past the end of the file."""
        if element.end > len(self.data):
            raise truncated()

    def _begins_with_item(self, element: Element) -> bool:
        if element.length < 8 or element.end > len(self.data):
            return False
        if self._tag.unpack_from(self.data, element.start) != (ITEM >> 16, ITEM & 0xFFFF):
            return False
        (length,) = self._long.unpack_from(self.data, element.start + 4)
        return bool(length == UNDEFINED_LENGTH or length <= element.length - 8)

    def _is_vr(self, vr: bytes) -> bool:
        known = vr.isalpha() and vr.isupper()
        if not known:
            self.defects.add("an element without VR in an explicit VR data set")
        return known

    def _count_one(self) -> None:
        self._count += 1
        if self._count > self.limits.max_elements:
            raise refuse(
                RefusalReason.TOO_LARGE,
                "The file has more data elements than are allowed.",
                max_elements=self.limits.max_elements,
            )

    def _check_head(self, end: int) -> None:
        if end > len(self.data):
            raise truncated()


def truncated() -> SliceRefusedError:
    """The refusal of a file that ends too early."""
    return refuse(
        RefusalReason.TRUNCATED, "The file is cut short: it ends in the middle of an element."
    )
