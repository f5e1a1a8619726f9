"""Is this file an axial CT image at all? The checks that need no pixel.

:data:`OBJECT_CHECKS` runs from what a file is to what an image of a CT must be, so
that the first reason found is the one that names the file best.

References
----------
DICOM PS3.4 annex B.5 (storage SOP classes), PS3.3 C.8.2 (CT image), C.7.6.1.1.2 and
C.8.16.1 (image type).
"""

from __future__ import annotations

from collections.abc import Callable

from appliance.ingest.errors import refuse
from appliance.ingest.header import Header, Tag
from appliance.ingest.limits import IngestLimits
from appliance.ingest.part10 import PIXEL_DATA
from appliance.scan.verdicts import RefusalReason

CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
_ENHANCED_CT = (f"{CT_IMAGE_STORAGE}.1", f"{CT_IMAGE_STORAGE}.2")
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
#: Prefixes of SOP classes that hold no image of the patient.
_NOT_IMAGES = {
    "1.2.840.10008.1.3.10": "a DICOMDIR index",
    "1.2.840.10008.5.1.4.1.1.11": "a presentation state",
    "1.2.840.10008.5.1.4.1.1.30": "a parametric map",
    "1.2.840.10008.5.1.4.1.1.66": "a segmentation or registration",
    "1.2.840.10008.5.1.4.1.1.88": "a structured report",
    "1.2.840.10008.5.1.4.1.1.104": "a document",
    "1.2.840.10008.5.1.4.1.1.481": "a radiotherapy object",
    "1.2.840.10008.5.1.4.1.1.9": "a waveform",
}
_DOSE_WORDS = frozenset(("DOSEINFO", "DOSE_INFO", "DOSE REPORT", "DOSE"))
#: Image types whose pixels are not the attenuation of one section (PS3.3 C.8.16.1.3
#: and C.8.15.1.1, and the words scanners write into CT Image Type).
_DERIVED_WORDS = frozenset(
    (
        "PERFUSION", "MIP", "MAX_IP", "MAXIMUM", "MINIP", "MIN_IP", "MINIMUM", "MEAN_IP",
        "SUBTRACTION", "STD_DEVIATION", "VOLUME_RENDER",
    )
)  # fmt: skip

ObjectCheck = Callable[[Header, IngestLimits], None]


def _check_is_image(header: Header, limits: IngestLimits) -> None:
    for prefix, name in _NOT_IMAGES.items():
        if header.sop_class_uid == prefix or header.sop_class_uid.startswith(f"{prefix}."):
            raise refuse(RefusalReason.NOT_AN_IMAGE, f"The file is {name}, not an image.")


def _image_words(header: Header) -> frozenset[str]:
    return frozenset(word.upper() for word in header.texts(Tag.IMAGE_TYPE))


def _check_dose_screen(header: Header, limits: IngestLimits) -> None:
    if _image_words(header) & _DOSE_WORDS:
        raise refuse(RefusalReason.DOSE_SCREEN, "The image is a dose report, not a CT slice.")


def _check_localizer(header: Header, limits: IngestLimits) -> None:
    if "LOCALIZER" in _image_words(header):
        raise refuse(RefusalReason.LOCALIZER, "The image is a localizer (scout), not a CT slice.")


def _check_secondary_capture(header: Header, limits: IngestLimits) -> None:
    uid = header.sop_class_uid
    if uid == _SECONDARY_CAPTURE or uid.startswith(f"{_SECONDARY_CAPTURE}."):
        raise refuse(
            RefusalReason.SECONDARY_CAPTURE,
            "The image is a secondary capture; its values are not HU.",
        )


def _check_single_frame(header: Header, limits: IngestLimits) -> None:
    frames = header.text(Tag.NUMBER_OF_FRAMES)
    enhanced = header.sop_class_uid in _ENHANCED_CT
    if enhanced or header.has_sequence(Tag.PER_FRAME_FUNCTIONAL_GROUPS) or frames not in ("", "1"):
        raise refuse(
            RefusalReason.MULTI_FRAME,
            "The file holds several images in one; only one slice a file is read.",
        )


def _check_ct(header: Header, limits: IngestLimits) -> None:
    modality = header.text(Tag.MODALITY)
    class_is_ct = header.sop_class_uid == CT_IMAGE_STORAGE
    if (modality and modality != "CT") or (header.sop_class_uid and not class_is_ct):
        raise refuse(RefusalReason.NOT_CT, "The image is not from a CT scanner.")
    if not (modality or class_is_ct):
        raise refuse(RefusalReason.NOT_CT, "The file does not say that it is a CT image.")


def _check_derived(header: Header, limits: IngestLimits) -> None:
    if _image_words(header) & _DERIVED_WORDS:
        raise refuse(
            RefusalReason.DERIVED,
            "The image was computed from others (projection, perfusion, subtraction); "
            "its values are not those of one section.",
        )


def _check_has_pixels(header: Header, limits: IngestLimits) -> None:
    if header.pixels is None:
        raise refuse(RefusalReason.NOT_AN_IMAGE, "The file has no pixel data.")
    if header.pixels.tag != PIXEL_DATA:
        raise refuse(RefusalReason.NOT_AN_IMAGE, "The pixel data are floating point maps.")


def _check_grey(header: Header, limits: IngestLimits) -> None:
    photometric = header.text(Tag.PHOTOMETRIC_INTERPRETATION)
    samples = header.integer(Tag.SAMPLES_PER_PIXEL)
    if samples not in (None, 1) or photometric not in ("", "MONOCHROME1", "MONOCHROME2"):
        raise refuse(
            RefusalReason.SECONDARY_CAPTURE, "The image is in colour: a screen picture, not HU."
        )


#: In this order; each raises SliceRefusedError where the file is not what it must be.
OBJECT_CHECKS: tuple[ObjectCheck, ...] = (
    _check_is_image,
    _check_dose_screen,
    _check_localizer,
    _check_secondary_capture,
    _check_single_frame,
    _check_ct,
    _check_derived,
    _check_has_pixels,
    _check_grey,
)
