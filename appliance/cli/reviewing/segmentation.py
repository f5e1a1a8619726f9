"""Masks as a DICOM Segmentation, and back.

References
----------
DICOM PS3.3 A.51 (Segmentation IOD), C.8.20; PS3.16 CID 7150 and 7151 (what a segment is).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from io import BytesIO
from pathlib import Path

import highdicom
import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from appliance.cli.errors import CliError

Masks = npt.NDArray[np.bool_]
_MAKER, _NAME = "Breathhold", "breathhold"
_SERIES_NUMBER = 9001
#: How far a frame may lie from its image, and how much its directions may differ.
_AWAY_MM, _TURNED = 1.0, 0.01
_CATEGORY = {
    "lung": codes.SCT.AnatomicalStructure,
    "lesion": codes.SCT.MorphologicallyAbnormalStructure,
}
_TYPE = {"lung": codes.SCT.Lung, "lesion": codes.SCT.Lesion}
#: From this share on a pixel of a fractional segment belongs to it.
_MARKED = 0.5
#: What highdicom raises for files that lack what a segmentation must repeat.
_UNFIT = (AttributeError, KeyError, TypeError, ValueError)


def write_segmentation(
    path: Path, sources: Sequence[bytes], masks: Mapping[str, Masks], models: Mapping[str, str]
) -> None:
    """Write a segment for each mask, each frame with a reference to the image it was drawn on.

    Parameters
    ----------
    path
        The file.
    sources
        The DICOM files of the slices.
    masks
        "lung" and "lesion", shape (slices, rows, columns), in the order of the sources.
    models
        What drew each.

    Raises
    ------
    CliError
        When the files lack what a segmentation must repeat of them.
    """
    images = [pydicom.dcmread(BytesIO(data), stop_before_pixels=True) for data in sources]
    segments = [
        _described(number, name, models.get(name, "")) for number, name in enumerate(masks, 1)
    ]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _segmentation(images, np.stack([*masks.values()], axis=-1), segments).save_as(path)
    except _UNFIT as error:
        raise CliError(f"no DICOM segmentation can be written of these images: {error}") from error


@dataclass(frozen=True, slots=True)
class Grid:
    """Where the slices of a scan lie, LPS in mm.

    Parameters
    ----------
    orientation
        ImageOrientationPatient of every slice.
    corners
        ImagePositionPatient by SOP Instance UID, foot to head.
    """

    orientation: tuple[float, ...]
    corners: Mapping[str, tuple[float, ...]]


def read_segmentation(path: Path, grid: Grid) -> dict[str, Masks]:
    """The masks of a segmentation by name, on the slices of a scan.

    Parameters
    ----------
    path
        A Segmentation whose segments are called "lung" and "lesion", or have their codes;
        several of one name make one mask, others are left out.
    grid
        Of the scan; a slice without a frame has an empty mask.

    Returns
    -------
    bool, shape (slices, rows, columns) each.

    Raises
    ------
    CliError
        When the file is none, has neither segment, was drawn on other images, or its
        frames do not lie as these.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = highdicom.seg.segread(path)
    except _UNFIT as error:
        raise CliError(f"{path} is no DICOM segmentation: {error}") from error
    numbers = _numbers_by_name(found)
    if not numbers:
        raise CliError(f"{path} has no segment called lesion or lung")
    drawn_on = {uid for _, _, uid in found.get_source_image_uids()}
    if other := drawn_on - set(grid.corners):
        raise CliError(f"{path} was drawn on other images: {len(other)} of its slices are not ours")
    _check_lie(path, found, grid)
    try:
        planes = found.get_pixels_by_source_instance(
            [*grid.corners],
            segment_numbers=[number for same in numbers.values() for number in same],
            assert_missing_frames_are_empty=True,
            ignore_spatial_locations=True,
        )
    except (RuntimeError, *_UNFIT) as error:
        raise CliError(f"{path} cannot be read: {error}") from error
    ends = np.cumsum([len(same) for same in numbers.values()])
    parts = np.split(planes >= _MARKED, ends[:-1], axis=-1)
    return {name: np.asarray(part.any(axis=-1)) for name, part in zip(numbers, parts, strict=True)}


def _check_lie(path: Path, found: Dataset, grid: Grid) -> None:
    """Raise CliError when a frame is turned, or lies elsewhere, than the image it refers to."""
    shared = found.SharedFunctionalGroupsSequence[0]
    for frame in found.PerFrameFunctionalGroupsSequence:
        lie = _first(frame, "PlaneOrientationSequence") or _first(
            shared, "PlaneOrientationSequence"
        )
        turned = lie is not None and not np.allclose(
            lie.ImageOrientationPatient, grid.orientation, atol=_TURNED
        )
        place, derivation = (
            _first(frame, name) for name in ("PlanePositionSequence", "DerivationImageSequence")
        )
        source = _first(derivation, "SourceImageSequence") if derivation is not None else None
        away = (
            place is not None
            and source is not None
            and not np.allclose(
                place.ImagePositionPatient,
                grid.corners[source.ReferencedSOPInstanceUID],
                atol=_AWAY_MM,
            )
        )
        if turned or away:
            raise CliError(f"{path}: its frames do not lie as the images that they were drawn on")


def _first(group: Dataset, name: str) -> Dataset | None:
    sequence = group.get(name)
    return sequence[0] if sequence else None


def _segmentation(
    images: Sequence[Dataset],
    pixels: Masks,
    segments: Sequence[highdicom.seg.SegmentDescription],
) -> highdicom.seg.Segmentation:
    return highdicom.seg.Segmentation(
        source_images=images,
        pixel_array=pixels.astype(np.uint8),
        segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=segments,
        series_instance_uid=generate_uid(prefix=None),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=generate_uid(prefix=None),
        instance_number=1,
        manufacturer=_MAKER,
        manufacturer_model_name=_NAME,
        software_versions=version("breathhold"),
        device_serial_number="0",
        content_label="REVIEW",
        content_description="Research software: not a diagnosis",
    )


def _described(number: int, name: str, model: str) -> highdicom.seg.SegmentDescription:
    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=name,
        segmented_property_category=_CATEGORY[name],
        segmented_property_type=_TYPE[name],
        algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name=f"{_NAME} {model}".strip(),
            family=codes.DCM.ArtificialIntelligence,
            version=version("breathhold"),
        ),
        tracking_uid=generate_uid(prefix=None),
        tracking_id=name,
    )


def _numbers_by_name(found: highdicom.seg.Segmentation) -> dict[str, list[int]]:
    """The segments that go by each of our names."""
    numbers: dict[str, list[int]] = {}
    for number in found.segment_numbers:
        if name := _name_of(found.get_segment_description(number)):
            numbers.setdefault(name, []).append(number)
    return numbers


def _name_of(segment: highdicom.seg.SegmentDescription) -> str | None:
    """Which of our names a segment goes by: its label says so, else its code.

    A "lung lesion" is a lesion.
    """
    label = segment.segment_label.lower()
    if named := next((name for name in ("lesion", "lung") if name in label), None):
        return named
    types = (name for name, code in _TYPE.items() if segment.segmented_property_type == code)
    return next(types, None)
