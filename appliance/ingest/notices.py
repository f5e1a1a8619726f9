"""What the reader of a report should know of one slice: a table of questions.

Each takes what is known of the slice and answers with a sentence or None.

References
----------
DICOM PS3.3 C.7.6.1.1.5 (lossy compression), C.7.3.1.1.2 (patient position).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from appliance.ingest.header import Header, Tag
from appliance.ingest.kernels import is_sharp
from appliance.ingest.limits import IngestLimits
from appliance.ingest.plane import read_thickness, read_tilt
from appliance.scan.geometry import SliceGeometry
from appliance.scan.verdicts import Notice, NoticeReason

#: Rows and columns may differ by this part of their spacing and still be square.
_SQUARE_TOLERANCE = 0.01


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of an accepted slice beside its header."""

    header: Header
    geometry: SliceGeometry
    limits: IngestLimits
    sign_mismatch: bool
    excess_bytes: int


Question = Callable[[Evidence], str | None]


def find_notices(evidence: Evidence, sop_instance_uid: str) -> tuple[Notice, ...]:
    """Ask every question about a slice.

    Returns
    -------
    At most one notice a reason, in the order of :data:`QUESTIONS`.
    """
    answers = ((reason, question(evidence)) for reason, question in QUESTIONS.items())
    return tuple(
        Notice(reason, message, sop_instance_uid) for reason, message in answers if message
    )


def plane_notices(geometry: SliceGeometry, limits: IngestLimits) -> dict[NoticeReason, str]:
    """The notices that follow from the geometry alone, by reason."""
    questions = {
        NoticeReason.SMALL_MATRIX: _small_matrix(geometry, limits),
        NoticeReason.NONSQUARE_PIXELS: _nonsquare(geometry),
        NoticeReason.IMAGE_FLIPPED: _flipped(geometry),
    }
    return {reason: message for reason, message in questions.items() if message}


def _lossy(evidence: Evidence) -> str | None:
    stated = evidence.header.text(Tag.LOSSY_IMAGE_COMPRESSION) == "01"
    if stated or evidence.header.syntax.may_be_lossy:
        return "The slice was compressed with loss; HU near the thresholds may have moved."
    return None


def _malformed(evidence: Evidence) -> str | None:
    header = evidence.header
    defects = [*sorted(header.defects)]
    defects += [f"{tag.name.replace('_', ' ').lower()} is malformed" for tag in _bad_values(header)]
    if evidence.excess_bytes > 1:
        defects.append("there are more pixel data than pixels")
    return f"The header is malformed: {'; '.join(defects)}." if defects else None


def _bad_values(header: Header) -> list[Tag]:
    """Tags that hold what they must not, of those a slice can be read without."""
    bad = header.malformed_uids()
    for tag in (Tag.SLICE_THICKNESS, Tag.GANTRY_DETECTOR_TILT):
        if not header.is_decimal(tag):
            bad.append(tag)
    return bad


def _modality_missing(evidence: Evidence) -> str | None:
    if evidence.header.text(Tag.MODALITY):
        return None
    return "Modality is missing; the slice was taken for CT by its SOP class."


def _derived(evidence: Evidence) -> str | None:
    if evidence.header.text(Tag.IMAGE_TYPE).upper() == "DERIVED":
        return "The slice is marked as derived: its pixels were processed after reconstruction."
    return None


def _sign_mismatch(evidence: Evidence) -> str | None:
    if evidence.sign_mismatch:
        return "The compressed data and the header disagree on the sign; it was put right."
    return None


def _monochrome1(evidence: Evidence) -> str | None:
    if evidence.header.text(Tag.PHOTOMETRIC_INTERPRETATION) == "MONOCHROME1":
        return "The slice is meant to be shown inverted; its HU are used as they are."
    return None


def _small_matrix(geometry: SliceGeometry, limits: IngestLimits) -> str | None:
    if min(geometry.rows, geometry.columns) < limits.small_matrix:
        return f"The matrix is small ({geometry.rows} x {geometry.columns})."
    return None


def _nonsquare(geometry: SliceGeometry) -> str | None:
    between_rows, between_columns = geometry.spacing
    if abs(between_rows / between_columns - 1) > _SQUARE_TOLERANCE:
        return f"The pixels are not square ({between_rows:g} x {between_columns:g} mm)."
    return None


def _flipped(geometry: SliceGeometry) -> str | None:
    if geometry.transposed or any(geometry.flips):
        return "The image does not lie the usual way round; it was turned by its orientation."
    return None


def _prone(evidence: Evidence) -> str | None:
    position = evidence.header.text(Tag.PATIENT_POSITION)
    both_flipped = not evidence.geometry.transposed and all(evidence.geometry.flips)
    if position.endswith("P") or (not position and both_flipped):
        return "The patient lies prone."
    return None


def _thickness_missing(evidence: Evidence) -> str | None:
    if read_thickness(evidence.header) is None:
        return "Slice thickness is missing; distances come from the slice positions."
    return None


def _tilted(evidence: Evidence) -> str | None:
    tilt = read_tilt(evidence.header, evidence.geometry)
    if tilt > evidence.limits.notice_tilt_degrees:
        return f"The gantry was tilted by {tilt:.1f} degrees."
    return None


def _sharp_kernel(evidence: Evidence) -> str | None:
    kernel = evidence.header.text(Tag.CONVOLUTION_KERNEL)
    if is_sharp(kernel):
        return f"The reconstruction kernel {kernel[:16]} is sharp; noise moves the scores."
    return None


def _contrast(evidence: Evidence) -> str | None:
    agent = evidence.header.text(Tag.CONTRAST_BOLUS_AGENT).upper()
    if agent and agent not in ("NONE", "NO", "N", "UNENHANCED"):
        return "Contrast was given; vessels are brighter than lesions are expected to be."
    return None


def _of_plane(reason: NoticeReason) -> Question:
    return lambda evidence: plane_notices(evidence.geometry, evidence.limits).get(reason)


#: What is asked of every slice read from DICOM, and under which reason it is noted.
QUESTIONS: dict[NoticeReason, Question] = {
    NoticeReason.LOSSY_COMPRESSION: _lossy,
    NoticeReason.MALFORMED_HEADER: _malformed,
    NoticeReason.MODALITY_MISSING: _modality_missing,
    NoticeReason.DERIVED_IMAGE: _derived,
    NoticeReason.SIGN_MISMATCH: _sign_mismatch,
    NoticeReason.MONOCHROME1: _monochrome1,
    NoticeReason.SMALL_MATRIX: _of_plane(NoticeReason.SMALL_MATRIX),
    NoticeReason.NONSQUARE_PIXELS: _of_plane(NoticeReason.NONSQUARE_PIXELS),
    NoticeReason.IMAGE_FLIPPED: _of_plane(NoticeReason.IMAGE_FLIPPED),
    NoticeReason.PRONE: _prone,
    NoticeReason.THICKNESS_MISSING: _thickness_missing,
    NoticeReason.GANTRY_TILT: _tilted,
    NoticeReason.SHARP_KERNEL: _sharp_kernel,
    NoticeReason.CONTRAST: _contrast,
}
