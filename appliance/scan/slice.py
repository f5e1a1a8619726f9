"""A slice as the rest of the house sees it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from appliance.scan.geometry import SliceGeometry
from appliance.scan.verdicts import Notice


@dataclass(frozen=True, slots=True)
class Acquisition:
    """Whose image a slice is and when it was taken, as far as the file says.

    Parameters
    ----------
    patient_id, issuer
        PatientID and IssuerOfPatientID (PS3.3 C.7.1.1), empty when not given. Kept in
        memory only, and out of what is printed.
    study_instance_uid
        Empty when not given.
    unix_s
        Seconds since 1970, None when not given.
    """

    patient_id: str = field(default="", repr=False)
    issuer: str = field(default="", repr=False)
    study_instance_uid: str = ""
    unix_s: float | None = None


@dataclass(frozen=True, slots=True)
class SliceHeader:
    """What ordering and bookkeeping need to know of a slice; no pixels.

    Parameters
    ----------
    sop_instance_uid, series_instance_uid, frame_of_reference_uid
        DICOM UIDs; the frame of reference is empty when not given.
    geometry
        Place in the patient.
    digest
        16 bytes over HU plane and geometry: equal for equal images.
    kernel
        ConvolutionKernel (PS3.3 C.8.2.1), empty when not given.
    notices
        Warnings about this slice.
    acquisition
        Whose image it is and when it was taken.
    """

    sop_instance_uid: str
    series_instance_uid: str
    frame_of_reference_uid: str
    geometry: SliceGeometry
    digest: bytes
    kernel: str = ""
    notices: tuple[Notice, ...] = ()
    acquisition: Acquisition = Acquisition()


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """One axial CT image: its header and its HU plane.

    `hu` is int16, shape (rows, columns), in Hounsfield units on the grid as
    sent, not turned; padding is -1024.
    """

    header: SliceHeader
    hu: npt.NDArray[np.int16]
