"""DICOM segmentations as other programs write them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from appliance.cli.errors import CliError
from appliance.cli.reviewing.segmentation import Grid, read_segmentation, write_segmentation
from calibration.phantom import make_phantom, write_dicom_series

ROWS = 64
Drawn = tuple[Path, Grid, dict[str, np.ndarray]]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    """A segmentation of lung and lesion, the grid of its images, and the masks in it."""
    folder = tmp_path_factory.mktemp("drawn")
    phantom = make_phantom(1, section="thick", slices=4, matrix=ROWS, lesions=0.2)
    files = sorted(write_dicom_series(phantom, folder / "images"))
    images = [pydicom.dcmread(path, stop_before_pixels=True) for path in files]
    corners = {str(one.SOPInstanceUID): tuple(one.ImagePositionPatient) for one in images}
    masks = {name: np.zeros((len(files), ROWS, ROWS), bool) for name in ("lung", "lesion")}
    masks["lung"][:, 10:40, 10:40] = True
    masks["lesion"][1:3, 12:20, 12:20] = True
    path = folder / "masks.dcm"
    write_segmentation(path, [file.read_bytes() for file in files], masks, {})
    return path, Grid(tuple(images[0].ImageOrientationPatient), corners), masks


def changed(path: Path, to: Path, change: Callable[[Dataset], None]) -> Path:
    found = pydicom.dcmread(path)
    change(found)
    found.save_as(to)
    return to


def test_masks_come_back_as_they_were_written(drawn: Drawn) -> None:
    path, grid, masks = drawn
    found = read_segmentation(path, grid)
    assert found.keys() == masks.keys()
    assert all(np.array_equal(found[name], masks[name]) for name in masks)


def test_a_lung_lesion_is_a_lesion(drawn: Drawn, tmp_path: Path) -> None:
    path, grid, masks = drawn

    def rename(found: Dataset) -> None:
        found.SegmentSequence[1].SegmentLabel = "Lung Lesion"

    found = read_segmentation(changed(path, tmp_path / "s.dcm", rename), grid)
    assert np.array_equal(found["lung"], masks["lung"])
    assert np.array_equal(found["lesion"], masks["lesion"])


def test_segments_of_other_names_go_by_their_code_and_are_put_together(
    drawn: Drawn, tmp_path: Path
) -> None:
    path, grid, masks = drawn

    def rename(found: Dataset) -> None:
        lesion = found.SegmentSequence[1].SegmentedPropertyTypeCodeSequence
        for number, segment in enumerate(found.SegmentSequence):
            segment.SegmentLabel = f"Segment_{number}"
            segment.SegmentedPropertyTypeCodeSequence = lesion

    found = read_segmentation(changed(path, tmp_path / "s.dcm", rename), grid)
    assert found.keys() == {"lesion"}
    assert np.array_equal(found["lesion"], masks["lung"] | masks["lesion"])


def _other_names(found: Dataset) -> None:
    for segment in found.SegmentSequence:
        segment.SegmentLabel = "heart"
        segment.SegmentedPropertyTypeCodeSequence[0].CodeValue = "80891009"


def _no_groups(found: Dataset) -> None:
    del found.SharedFunctionalGroupsSequence


def _no_sources(found: Dataset) -> None:
    for frame in found.PerFrameFunctionalGroupsSequence:
        del frame.DerivationImageSequence


def _cut(found: Dataset) -> None:
    found.PixelData = found.PixelData[: len(found.PixelData) // 2]


def _away(found: Dataset) -> None:
    frame = found.PerFrameFunctionalGroupsSequence[0]
    frame.PlanePositionSequence[0].ImagePositionPatient = [0, 0, 9000]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_other_names, "no segment called lesion or lung"),
        (_no_groups, "no DICOM segmentation"),
        (_no_sources, "does not contain information about source"),
        (_cut, "cannot be read"),
        (_away, "do not lie as the images"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(
    drawn: Drawn, tmp_path: Path, change: Callable[[Dataset], None], words: str
) -> None:
    path, grid, _ = drawn
    with pytest.raises(CliError, match=words) as caught:
        read_segmentation(changed(path, tmp_path / "s.dcm", change), grid)
    assert "s.dcm" in str(caught.value)
