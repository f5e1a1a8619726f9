"""What a process that reads DICOM answers, in a form that carries no code.

A decoder that was taken over by what it decodes may answer anything. All that comes of it is
numbers and texts of bounded length, checked one by one; the pixels lie in shared memory.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any

from appliance.ingest.limits import IngestLimits
from appliance.scan.geometry import SliceGeometry
from appliance.scan.slice import Acquisition, SliceHeader
from appliance.scan.verdicts import Notice, NoticeReason, Refusal, RefusalReason

#: The longest answer; the longest that an honest process gives holds two texts of
#: `IngestLimits.max_value_bytes`, each byte written as six.
MOST_BYTES = 64 * 1024
_MOST_TEXT = 4096
_MOST_ENTRIES = 64
_UID = re.compile(r"[0-9A-Za-z._-]{0,64}")
_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class Failed:
    """The reader failed on the slice; `words` name how."""

    words: str


@dataclass(frozen=True, slots=True)
class Starved:
    """Nothing can be said of the slice: the box had no memory to read it."""


#: A header comes with its HU plane, of the rows and columns of its geometry, in shared memory.
Answer = SliceHeader | Refusal | Failed | Starved


class AnswerError(ValueError):
    """No answer, whatever it is."""


def encode(answer: Answer) -> bytes:
    """An answer as JSON.

    Raises
    ------
    AnswerError
        When it is longer than :data:`MOST_BYTES`.
    """
    packet = json.dumps(_written(answer)).encode()
    if len(packet) > MOST_BYTES:
        raise AnswerError("an answer is too long")
    return packet


def decode(packet: bytes, limits: IngestLimits) -> Answer:
    """An answer of a process that is not trusted.

    Parameters
    ----------
    packet
        All of it.
    limits
        Within which a matrix must be.

    Raises
    ------
    AnswerError
        When it is none.
    """
    if len(packet) > MOST_BYTES:
        raise AnswerError("an answer is too long")
    try:
        kind, content = json.loads(packet)
        match kind:
            case "slice":
                return _header(content, limits)
            case "refused":
                return _refusal(content)
            case "failed":
                return Failed(_text(content))
            case "starved":
                return Starved()
    except (ValueError, TypeError, LookupError, OverflowError, RecursionError) as error:
        raise AnswerError(f"it is no answer ({type(error).__name__})") from None
    raise AnswerError("there is no answer of this kind")


def _written(answer: Answer) -> tuple[str, object]:
    match answer:
        case SliceHeader():
            return "slice", _header_fields(answer)
        case Refusal(reason, message, metadata):
            return "refused", (reason, message, [*metadata.items()])
        case Failed(words):
            return "failed", words
        case Starved():
            return "starved", None


def _header_fields(header: SliceHeader) -> dict[str, object]:
    plane, taken = header.geometry, header.acquisition
    return {
        "uids": (
            header.sop_instance_uid,
            header.series_instance_uid,
            header.frame_of_reference_uid,
            taken.study_instance_uid,
        ),
        "position": plane.position,
        "orientation": plane.orientation,
        "spacing": plane.spacing,
        "matrix": (plane.rows, plane.columns),
        "thickness": plane.thickness,
        "digest": header.digest.hex(),
        "kernel": header.kernel,
        "notices": [(notice.reason, notice.message) for notice in header.notices],
        "patient": (taken.patient_id, taken.issuer),
        "unix_s": taken.unix_s,
    }


def _header(fields: dict[str, Any], limits: IngestLimits) -> SliceHeader:
    instance, series, frame_of_reference, study = map(_uid, fields["uids"])
    patient, issuer = map(_text, fields["patient"])
    digest = bytes.fromhex(_text(fields["digest"]))
    if len(digest) != _DIGEST_BYTES:
        raise ValueError("a digest has 16 bytes")
    notices = tuple(
        Notice(NoticeReason(reason), _text(message), instance)
        for reason, message in _few(fields["notices"])
    )
    return SliceHeader(
        sop_instance_uid=instance,
        series_instance_uid=series,
        frame_of_reference_uid=frame_of_reference,
        geometry=_geometry(fields, limits),
        digest=digest,
        kernel=_text(fields["kernel"]),
        notices=notices,
        acquisition=Acquisition(patient, issuer, study, _number_or_none(fields["unix_s"])),
    )


def _geometry(fields: dict[str, Any], limits: IngestLimits) -> SliceGeometry:
    """Checks its numbers itself, but for the matrix."""
    x, y, z = map(_number, fields["position"])
    a, b, c, d, e, f = map(_number, fields["orientation"])
    between_rows, between_columns = map(_number, fields["spacing"])
    rows, columns = fields["matrix"]
    if type(rows) is not int or type(columns) is not int:
        raise TypeError("a matrix has whole numbers")
    if not (0 < rows <= limits.max_rows and 0 < columns <= limits.max_columns):
        raise ValueError("the matrix is too large")
    if rows * columns * 2 > limits.max_bytes:
        raise ValueError("the plane is larger than the shared memory")
    return SliceGeometry(
        (x, y, z),
        (a, b, c, d, e, f),
        (between_rows, between_columns),
        rows,
        columns,
        _number_or_none(fields["thickness"]),
    )


def _refusal(content: Any) -> Refusal:
    reason, message, metadata = content
    values = {_text(name): _text(value) for name, value in _few(metadata)}
    return Refusal(RefusalReason(reason), _text(message), values)


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > _MOST_TEXT:
        raise ValueError("no text, or too long")
    return value


def _uid(value: object) -> str:
    text = _text(value)
    if not _UID.fullmatch(text):
        raise ValueError("no UID")
    return text


def _number(value: object) -> float:
    if type(value) not in (int, float):
        raise TypeError("no number")
    number = float(value)  # type: ignore[arg-type]
    if not math.isfinite(number):
        raise ValueError("no finite number")
    return number


def _number_or_none(value: object) -> float | None:
    return None if value is None else _number(value)


def _few(entries: Any) -> list[tuple[str, Any]]:
    found = [(_text(name), value) for name, value in entries]
    if len(found) > _MOST_ENTRIES:
        raise ValueError("too many")
    return found
