"""Whose image a slice is and when it was taken.

Nothing here refuses a slice: a value that cannot be read counts as not given.

References
----------
DICOM PS3.3 C.7.1.1 (Patient), C.7.6.16.2.2 and C.8.2.1 (Acquisition DateTime),
C.12.1.1.8 (Timezone Offset From UTC); PS3.5 table 6.2-1 (DA, DT, TM).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime, time, tzinfo

from pydicom.valuerep import DA, DT, TM

from appliance.ingest.header import Header, MalformedValueError, Tag, is_uid
from appliance.scan.slice import Acquisition

#: No CT image was taken before; an older date is an anonymiser's.
_FIRST_CT = 1971
_DATE_DIGITS = 8
_OFFSET = re.compile(r"[+-](0\d|1[0-4])[0-5]\d")
#: By which a moment is given, best first.
_PAIRS = (
    (Tag.ACQUISITION_DATE, Tag.ACQUISITION_TIME),
    (Tag.SERIES_DATE, Tag.SERIES_TIME),
    (Tag.STUDY_DATE, Tag.STUDY_TIME),
)


def read_acquisition(header: Header) -> Acquisition:
    """What the header says of patient and moment.

    The moment is Acquisition DateTime, else date and time of acquisition, series or study,
    else the first of these dates alone (midnight). Times without offset from UTC are this
    machine's local ones.
    """
    study = _text(header, Tag.STUDY_INSTANCE_UID)
    return Acquisition(
        patient_id=_text(header, Tag.PATIENT_ID),
        issuer=_text(header, Tag.ISSUER_OF_PATIENT_ID),
        study_instance_uid=study if is_uid(study) else "",
        unix_s=next(_moments(header), None),
    )


def _moments(header: Header) -> Iterator[float]:
    """Seconds since 1970, best source first."""
    zone = _zone(_text(header, Tag.TIMEZONE_OFFSET_FROM_UTC))
    text = _text(header, Tag.ACQUISITION_DATE_TIME)
    if text[:_DATE_DIGITS].isdecimal() and len(text) >= _DATE_DIGITS:
        yield from _seconds(_parsed(DT, text), zone)
    days = [_parsed(DA, _text(header, tag)) for tag, _ in _PAIRS]
    for day, (_, tag) in zip(days, _PAIRS, strict=True):
        clock = _parsed(TM, _text(header, tag).replace(":", ""))
        if isinstance(day, date) and isinstance(clock, time):
            yield from _seconds(datetime.combine(day, clock), zone)
    for day in days:
        if isinstance(day, date):
            yield from _seconds(datetime.combine(day, time()), zone)


def _seconds(moment: object, zone: tzinfo | None) -> Iterator[float]:
    if not isinstance(moment, datetime) or moment.year < _FIRST_CT:
        return
    try:
        yield (moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp()
    except (ValueError, OverflowError):
        return


def _zone(offset: str) -> tzinfo | None:
    """The offset from UTC, None where there is none that can be read."""
    if not _OFFSET.fullmatch(offset):
        return None
    return datetime.strptime(offset, "%z").tzinfo


def _parsed(kind: type[DA] | type[DT] | type[TM], text: str) -> date | time | None:
    """pydicom's value; None where there is none or it is malformed."""
    try:
        return kind(text) if text else None
    except (ValueError, TypeError, OverflowError, UserWarning):
        return None


def _text(header: Header, tag: Tag) -> str:
    try:
        return "\\".join(header.texts(tag))
    except MalformedValueError:
        return ""
