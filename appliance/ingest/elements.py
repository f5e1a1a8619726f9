"""What pydicom reads behind the gate: the only place where its reader is called.

pydicom reports what it finds odd through warnings and its log, both with values
of the patient in them. Their sinks are closed once, here, and not at each call:
slices are read on several threads, which share the filters.
"""

from __future__ import annotations

import io
import logging
import struct
import warnings

import pydicom.config
from pydicom.dataset import Dataset
from pydicom.encaps import generate_fragments
from pydicom.errors import BytesLengthException
from pydicom.filereader import read_dataset
from pydicom.multival import MultiValue

from appliance.ingest.errors import SliceRefusedError, refuse
from appliance.scan.verdicts import RefusalReason

#: What pydicom lets escape on hostile bytes, with values of the patient in the text:
#: never chained to what is raised instead. UserWarning is what it says where the
#: process turned warnings into errors.
_FAILURES = (
    ArithmeticError,
    AttributeError,
    BytesLengthException,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    RecursionError,
    TypeError,
    UserWarning,
    ValueError,
    struct.error,
)

#: A group length without value. pydicom takes from the first element whether elements have a VR.
_EMPTY_GROUP = {True: bytes(8), False: bytes(4) + b"UL\0\0"}

pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
warnings.filterwarnings("ignore", category=UserWarning, module=r"pydicom\.")
logging.getLogger("pydicom").propagate = False


class UnreadableValueError(ValueError):
    """pydicom cannot convert a value."""


class Elements:
    """The top level of a data set, converted value by value when asked for.

    Parameters
    ----------
    dataset
        As pydicom read it.
    max_value_bytes
        Longer values count as absent.
    """

    def __init__(self, dataset: Dataset, max_value_bytes: int) -> None:
        self._dataset = dataset
        self._max_value_bytes = max_value_bytes
        self._known: dict[int, tuple[object, ...]] = {}

    def values(self, tag: int) -> tuple[object, ...]:
        """The values of an element; none when it is absent, empty or too long.

        Raises
        ------
        UnreadableValueError
            When they are not what the VR of the element says.
        """
        if tag not in self._known:
            self._known[tag] = self._converted(tag)
        return self._known[tag]

    def _converted(self, tag: int) -> tuple[object, ...]:
        raw = self._dataset.get_item(tag, keep_deferred=True)
        if raw is None or getattr(raw, "length", 0) > self._max_value_bytes:
            return ()
        try:
            value = self._dataset[tag].value
        except _FAILURES:
            raise UnreadableValueError from None
        if isinstance(value, MultiValue):
            return tuple(value)
        return () if value is None or value == "" else (value,)


def read_elements(
    data: memoryview, *, implicit: bool, big_endian: bool, max_value_bytes: int
) -> Elements:
    """Read a data set that has passed the gate.

    Parameters
    ----------
    data
        Elements without pixel data.
    implicit, big_endian
        How they are written, whatever the first of them looks like to pydicom.
    max_value_bytes
        As for :class:`Elements`.

    Raises
    ------
    SliceRefusedError
        MALFORMED when pydicom cannot read them to their end.
    """
    stream = io.BytesIO(_EMPTY_GROUP[implicit] + bytes(data))
    try:
        dataset = read_dataset(stream, implicit, not big_endian)
    except _FAILURES:
        raise _malformed() from None
    if stream.tell() != len(_EMPTY_GROUP[implicit]) + len(data):
        raise _malformed()
    return Elements(dataset, max_value_bytes)


def join_fragments(data: memoryview) -> bytes:
    """One frame from the items of its encapsulated pixel data.

    Parameters
    ----------
    data
        From the item of the offset table on (PS3.5 annex A.4). The table itself is
        not used: there is one frame, and tables are often wrong.

    Raises
    ------
    SliceRefusedError
        MALFORMED when they are not items.
    """
    try:
        return b"".join(list(generate_fragments(io.BytesIO(data)))[1:])
    except _FAILURES:
        raise _malformed() from None


def _malformed() -> SliceRefusedError:
    return refuse(RefusalReason.MALFORMED, "The elements of the file cannot be read.")
