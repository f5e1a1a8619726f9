"""DICOM Part 10 bytes to a slice in HU."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.ingest.acquisition import read_acquisition
from appliance.ingest.digest import digest_slice
from appliance.ingest.errors import refuse
from appliance.ingest.header import Header, MalformedValueError, Tag
from appliance.ingest.hounsfield import Rescale, read_rescale
from appliance.ingest.limits import DEFAULT_LIMITS, IngestLimits
from appliance.ingest.notices import Evidence, find_notices
from appliance.ingest.objects import OBJECT_CHECKS
from appliance.ingest.part10 import open_part10
from appliance.ingest.pixels import (
    PixelFormat,
    StoredPlane,
    read_pixel_format,
    read_stored_plane,
)
from appliance.ingest.plane import read_geometry
from appliance.ingest.syntaxes import JPEG_BASELINE
from appliance.scan.geometry import SliceGeometry
from appliance.scan.slice import Slice, SliceHeader
from appliance.scan.verdicts import RefusalReason

_UUID_ROOT = "2.25"
#: Longest value of a short string (PS3.5 table 6.2-1, SH).
_MAX_KERNEL_CHARACTERS = 16


@dataclass(frozen=True, slots=True)
class _Identity:
    """The UIDs of a slice; each empty when the file does not give it."""

    sop_instance: str
    series_instance: str
    frame_of_reference: str


@dataclass(frozen=True, slots=True)
class _Plan:
    """All that is decided by the header, before a pixel is decoded."""

    header: Header
    identity: _Identity
    geometry: SliceGeometry
    pixel_format: PixelFormat
    rescale: Rescale


def read_dicom(data: bytes | memoryview, limits: IngestLimits = DEFAULT_LIMITS) -> Slice:
    """Read one CT slice.

    Safe to call from several threads at once: the calls share no state.

    Parameters
    ----------
    data
        One DICOM Part 10 file (PS3.10 section 7).
    limits
        What it may cost; checked before anything is allocated.

    Returns
    -------
    The slice in HU on the grid as sent. A slice without SOP Instance UID is given
    one made from its digest.

    Raises
    ------
    SliceRefusedError
        With the reason; nothing else is raised, whatever the bytes are.
    """
    header = Header(open_part10(data, limits))
    try:
        return _read(_plan(header, limits), limits)
    except MalformedValueError as error:
        raise refuse(
            RefusalReason.MALFORMED,
            "A value in the header is not what it must be.",
            element=error.tag.name,
        ) from error


def _plan(header: Header, limits: IngestLimits) -> _Plan:
    for check in OBJECT_CHECKS:
        check(header, limits)
    geometry = read_geometry(header, limits)
    if header.syntax.uid == JPEG_BASELINE:
        raise refuse(
            RefusalReason.LOSSY_TOO_COARSE,
            "The slice was compressed to 8 bits a pixel: too few grey levels to measure HU.",
            transfer_syntax=header.syntax.uid,
        )
    return _Plan(
        header,
        _identity(header),
        geometry,
        read_pixel_format(header),
        read_rescale(header, limits),
    )


def _identity(header: Header) -> _Identity:
    return _Identity(
        header.sop_instance_uid,
        header.uid(Tag.SERIES_INSTANCE_UID),
        header.uid(Tag.FRAME_OF_REFERENCE_UID),
    )


def _read(plan: _Plan, limits: IngestLimits) -> Slice:
    geometry = plan.geometry
    stored = _stored_plane(plan)
    hu = plan.rescale.to_hu(stored.values)
    digest = digest_slice(hu, geometry)
    evidence = Evidence(plan.header, geometry, limits, stored.sign_mismatch, stored.excess_bytes)
    uid = plan.identity.sop_instance or f"{_UUID_ROOT}.{int.from_bytes(digest)}"
    header = SliceHeader(
        sop_instance_uid=uid,
        series_instance_uid=plan.identity.series_instance,
        frame_of_reference_uid=plan.identity.frame_of_reference,
        geometry=geometry,
        digest=digest,
        kernel=plan.header.text(Tag.CONVOLUTION_KERNEL)[:_MAX_KERNEL_CHARACTERS],
        notices=find_notices(evidence, uid),
        acquisition=read_acquisition(plan.header),
    )
    return Slice(header, hu)


def _stored_plane(plan: _Plan) -> StoredPlane:
    pixels = plan.header.pixels
    if pixels is None:
        raise refuse(RefusalReason.NOT_AN_IMAGE, "The file has no pixel data.")
    geometry = plan.geometry
    return read_stored_plane(
        plan.header, pixels, geometry.rows, geometry.columns, plan.pixel_format
    )
