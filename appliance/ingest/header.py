"""The header of a slice by name: text, numbers, UIDs.

A thin view over what pydicom read. A value that pydicom cannot convert, or that is
not what its tag must hold, is told apart from one that is absent:
:class:`MalformedValueError`.
"""

from __future__ import annotations

import math
import re

from appliance.ingest.elements import UnreadableValueError
from appliance.ingest.part10 import Part10, PixelData
from appliance.ingest.syntaxes import TransferSyntax
from appliance.ingest.tags import UID_TAGS, Tag

__all__ = ["Header", "MalformedValueError", "Tag", "is_uid"]

_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
#: What a UID may be at worst: anonymisers write hexadecimal hashes into UIDs.
_SAFE_UID = re.compile(r"[0-9A-Za-z._-]{0,64}")


class MalformedValueError(ValueError):
    """A header value is there but is not what its tag must hold."""

    def __init__(self, tag: Tag) -> None:
        super().__init__(f"{tag.name} is malformed")
        self.tag = tag


class Header:
    """Typed access to the elements of one slice.

    Parameters
    ----------
    part10
        The opened file.
    """

    def __init__(self, part10: Part10) -> None:
        self._part10 = part10

    @property
    def syntax(self) -> TransferSyntax:
        return self._part10.syntax

    @property
    def big_endian(self) -> bool:
        return self._part10.syntax.big_endian

    @property
    def pixels(self) -> PixelData | None:
        return self._part10.pixels

    @property
    def defects(self) -> frozenset[str]:
        """What is malformed in the file but could be stepped over, in words."""
        return self._part10.defects

    @property
    def sop_class_uid(self) -> str:
        return self.text(Tag.SOP_CLASS_UID) or self._part10.sop_class_uid

    @property
    def sop_instance_uid(self) -> str:
        """From the data set, else from the file meta.

        Raises
        ------
        MalformedValueError
            As :meth:`uid`.
        """
        found = self.uid(Tag.SOP_INSTANCE_UID) or self._part10.sop_instance_uid
        if not _SAFE_UID.fullmatch(found):
            raise MalformedValueError(Tag.SOP_INSTANCE_UID)
        return found

    def uid(self, tag: Tag) -> str:
        """A UID that may be malformed but is short and safe to pass on; empty when absent.

        Raises
        ------
        MalformedValueError
            When it is anything else.
        """
        text = self.text(tag)
        if not _SAFE_UID.fullmatch(text):
            raise MalformedValueError(tag)
        return text

    def has_sequence(self, tag: Tag) -> bool:
        return tag in self._part10.tags

    def texts(self, tag: Tag) -> tuple[str, ...]:
        """The values of a text element, stripped; empty when absent, empty or oversized.

        Raises
        ------
        MalformedValueError
            When the file gives the element a type that its value does not have.
        """
        return tuple(str(value).strip("\0 ") for value in self._values(tag))

    def text(self, tag: Tag) -> str:
        """The first value of a text element, empty when there is none."""
        return next(iter(self.texts(tag)), "")

    def decimals(self, tag: Tag) -> tuple[float, ...]:
        """Values of a decimal string element (PS3.5 table 6.2-1, DS), finite.

        Raises
        ------
        MalformedValueError
            When a value is not a finite number.
        """
        return tuple(_decimal(text, tag) for text in self.texts(tag))

    def decimal(self, tag: Tag) -> float | None:
        """The first value of a decimal string element, None when absent."""
        return next(iter(self.decimals(tag)), None)

    def is_decimal(self, tag: Tag) -> bool:
        """True when the element is absent, empty or holds finite numbers only."""
        try:
            self.decimals(tag)
        except MalformedValueError:
            return False
        return True

    def integer(self, tag: Tag) -> int | None:
        """Value of a binary integer element, None when absent or empty.

        Raises
        ------
        MalformedValueError
            When it is not one integer.
        """
        values = self._values(tag)
        if not values:
            return None
        if len(values) != 1 or not isinstance(values[0], int):
            raise MalformedValueError(tag)
        return values[0]

    def stored_value(self, tag: Tag) -> int | None:
        """Value of an element in the type of the pixels, None when absent.

        US or SS by Pixel Representation, whichever of them the file says it is.

        Raises
        ------
        MalformedValueError
            When it is not one 16-bit integer.
        """
        value = self.integer(tag)
        if value is None:
            return None
        if not -0x8000 <= value <= 0xFFFF:
            raise MalformedValueError(tag)
        word = value & 0xFFFF
        signed = self.integer(Tag.PIXEL_REPRESENTATION) == 1
        return word - 0x10000 if signed and word > 0x7FFF else word

    def malformed_uids(self) -> list[Tag]:
        """Tags of UIDs that break PS3.5 section 9.1, absent ones not among them."""
        return [tag for tag in UID_TAGS if not is_uid(self.text(tag) or "1")]

    def _values(self, tag: Tag) -> tuple[object, ...]:
        try:
            return self._part10.elements.values(tag)
        except UnreadableValueError as error:
            raise MalformedValueError(tag) from error


def is_uid(text: str) -> bool:
    """True for a well-formed DICOM UID (PS3.5 section 9.1)."""
    return len(text) <= 64 and _UID.fullmatch(text) is not None


def _decimal(text: str, tag: Tag) -> float:
    if not _DECIMAL.fullmatch(text):
        raise MalformedValueError(tag)
    number = float(text)
    if not math.isfinite(number):
        raise MalformedValueError(tag)
    return number
