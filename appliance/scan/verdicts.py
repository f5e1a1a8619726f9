"""What Breathhold says of a slice or a scan that is not as it should be.

A :class:`Refusal` turns one slice away; the scan goes on without it. A
:class:`Notice` is a warning: the slice or scan is used, and the reader of the
report is told.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field


class RefusalReason(enum.StrEnum):
    """Why a slice is not used. The values travel on the wire and never change."""

    NOT_DICOM = "NOT_DICOM"
    TRANSFER_SYNTAX_UNKNOWN = "TRANSFER_SYNTAX_UNKNOWN"
    TRANSFER_SYNTAX_NOT_ALLOWED = "TRANSFER_SYNTAX_NOT_ALLOWED"
    MALFORMED = "MALFORMED"
    NOT_AN_IMAGE = "NOT_AN_IMAGE"
    NOT_CT = "NOT_CT"
    LOCALIZER = "LOCALIZER"
    DOSE_SCREEN = "DOSE_SCREEN"
    SECONDARY_CAPTURE = "SECONDARY_CAPTURE"
    DERIVED = "DERIVED"
    MULTI_FRAME = "MULTI_FRAME"
    NOT_AXIAL = "NOT_AXIAL"
    GANTRY_TILT = "GANTRY_TILT"
    NO_GEOMETRY = "NO_GEOMETRY"
    NO_RESCALE = "NO_RESCALE"
    LOSSY_TOO_COARSE = "LOSSY_TOO_COARSE"
    TOO_LARGE = "TOO_LARGE"
    TRUNCATED = "TRUNCATED"
    UNDECODABLE = "UNDECODABLE"
    OTHER_SERIES = "OTHER_SERIES"
    OTHER_FRAME_OF_REFERENCE = "OTHER_FRAME_OF_REFERENCE"
    GEOMETRY_CONTRADICTION = "GEOMETRY_CONTRADICTION"
    POSITION_TAKEN = "POSITION_TAKEN"
    SOP_INSTANCE_REUSED = "SOP_INSTANCE_REUSED"
    TOO_MANY_SLICES = "TOO_MANY_SLICES"
    SCAN_FINISHED = "SCAN_FINISHED"


class NoticeReason(enum.StrEnum):
    """What the reader of a report should know. The values travel on the wire."""

    # of one slice
    LOSSY_COMPRESSION = "LOSSY_COMPRESSION"
    MALFORMED_HEADER = "MALFORMED_HEADER"
    MODALITY_MISSING = "MODALITY_MISSING"
    DERIVED_IMAGE = "DERIVED_IMAGE"
    SIGN_MISMATCH = "SIGN_MISMATCH"
    MONOCHROME1 = "MONOCHROME1"
    SMALL_MATRIX = "SMALL_MATRIX"
    NONSQUARE_PIXELS = "NONSQUARE_PIXELS"
    IMAGE_FLIPPED = "IMAGE_FLIPPED"
    PRONE = "PRONE"
    THICKNESS_MISSING = "THICKNESS_MISSING"
    GANTRY_TILT = "GANTRY_TILT"
    SHARP_KERNEL = "SHARP_KERNEL"
    CONTRAST = "CONTRAST"  # or of the whole scan, by its image
    # of the whole scan
    GAP = "GAP"
    UNEVEN_SPACING = "UNEVEN_SPACING"
    OVERLAPPING_SLICES = "OVERLAPPING_SLICES"
    LUNG_CUT_OFF_TOP = "LUNG_CUT_OFF_TOP"
    LUNG_CUT_OFF_BOTTOM = "LUNG_CUT_OFF_BOTTOM"
    SECTION_CHANGED = "SECTION_CHANGED"
    SLICES_EXPECTED = "SLICES_EXPECTED"
    MOTION_ARTEFACT = "MOTION_ARTEFACT"
    STRONG_NOISE = "STRONG_NOISE"
    METAL = "METAL"
    # of the box
    SLICES_LOST = "SLICES_LOST"
    DEVICE_LOST = "DEVICE_LOST"
    MODELS_REPLACED = "MODELS_REPLACED"
    LOBES_FAILED = "LOBES_FAILED"
    SEGMENTS_FAILED = "SEGMENTS_FAILED"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One slice turned away.

    Parameters
    ----------
    reason
        Machine-readable.
    message
        One sentence a technologist understands. Never holds patient data.
    metadata
        The values that led to it, as text (e.g. ``{"rows": "70000"}``).
    """

    reason: RefusalReason
    message: str
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, order=True)
class Notice:
    """One warning; `sop_instance_uid` is empty when it concerns the whole scan."""

    reason: NoticeReason
    message: str
    sop_instance_uid: str = ""
