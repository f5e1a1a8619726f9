"""Once around the loop: a daemon's masks, corrected, make a better model."""

from __future__ import annotations

import sys
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest

from appliance.cli.reviewing.segmentation import write_segmentation
from breathhold.v1 import scan_pb2 as pb
from calibration.phantom import Phantom
from engines.models import load_repository, load_spec
from tests.box import Box, send_scan
from tests.cli.command import Command


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "review"


def state_of(box: Box) -> Path:
    return Path(box.process.args[box.process.args.index("--state") + 1])  # type: ignore[index, union-attr]


def corrected_nifti(exported: Path, phantom: Phantom, name: str) -> Path:
    """The truth on the grid that was exported, as an annotator would save it."""
    like = nibabel.load(exported / f"{name}.nii.gz")
    truth = (getattr(phantom, name) > 0).astype(np.uint8).transpose(2, 1, 0)
    path = exported.parent / f"{name}-by-hand.nii.gz"
    nibabel.save(nibabel.Nifti1Image(truth, like.affine), path)
    return path


def corrected_segmentation(series: Path, phantom: Phantom, path: Path) -> Path:
    files = [file.read_bytes() for file in sorted(series.glob("*.dcm"))]
    masks = {"lung": phantom.lung > 0, "lesion": phantom.lesion > 0}
    write_segmentation(path, files, masks, {})
    return path


def test_once_around_the_loop(
    command: Command,
    box: Box,
    scans: list[str],
    series: list[Path],
    phantoms: list[Phantom],
    undertrained: Path,
    folder: Path,
    tmp_path: Path,
) -> None:
    for scan, dicom in zip(scans, series, strict=True):
        ran = command("review", "export", scan, "--dicom", dicom, "-o", folder, "--to", box.grpc)
        assert ran.code == 0, ran.err
        assert "masks.seg.dcm" in ran.out
    by_hand = corrected_nifti(folder / "scans" / scans[0], phantoms[0], "lung")
    ran = command(
        "review", "import", scans[0], by_hand, "-o", folder, "--kind", "lung", "--minutes", 12
    )
    assert ran.code == 0, ran.err
    by_hand = corrected_segmentation(series[1], phantoms[1], tmp_path / "hand.dcm")
    ran = command("review", "import", scans[1], by_hand, "-o", folder, "--minutes", 30, "--json")
    assert ran.code == 0, ran.err
    assert ran.lines[0]["corrected"] == ["lesion", "lung"]

    train = ["review", "train", "-o", folder, "--model", "lung", "--steps", 60, "--json"]
    ran = command(*train, "--models", undertrained)
    assert ran.code == 0, ran.err
    (trained,) = ran.lines
    assert trained["installed"]
    assert trained["dice_after"] > trained["dice_before"] + 0.02
    assert trained["minutes_correcting"] == 42
    assert set(trained["learnt_from"]).isdisjoint(trained["judged_by"])

    models = folder / "models"
    assert load_spec(models / "lung").version == 2
    assert load_spec(undertrained / "lung").version == 1
    for spec in load_repository(models):
        spec.artefact("fp32").verify()

    events = [entry["event"] for entry in command("review", "ledger", "-o", folder, "--json").lines]
    assert events == ["imported", "imported", "trained"]
    assert "version 2" in command("review", "ledger", "-o", folder).out

    ran = command("review", "rollback", 1, "-o", folder, "--model", "lung")
    assert ran.code == 0, ran.err
    assert load_spec(models / "lung").version == 1
    assert command("review", "rollback", 2, "-o", folder, "--model", "lung").code == 0
    assert load_spec(models / "lung").version == 2
    assert command("review", "rollback", 7, "-o", folder, "--model", "lung").code == 1


def test_a_segmentation_refers_to_the_images_and_says_what_it_shows(
    command: Command, box: Box, scans: list[str], series: list[Path], folder: Path
) -> None:
    ran = command(
        "review", "export", scans[0], "--dicom", series[0], "-o", folder, "--to", box.grpc
    )
    assert ran.code == 0, ran.err
    found = pydicom.dcmread(folder / "scans" / scans[0] / "masks.seg.dcm")
    source = [pydicom.dcmread(path) for path in sorted(series[0].glob("*.dcm"))]
    assert found.Modality == "SEG"
    assert found.SegmentationType == "BINARY"
    assert found.StudyInstanceUID == source[0].StudyInstanceUID
    assert found.FrameOfReferenceUID == source[0].FrameOfReferenceUID
    assert [segment.SegmentLabel for segment in found.SegmentSequence] == ["lung", "lesion"]
    (referenced,) = found.ReferencedSeriesSequence
    assert referenced.SeriesInstanceUID == source[0].SeriesInstanceUID
    uids = {one.ReferencedSOPInstanceUID for one in referenced.ReferencedInstanceSequence}
    assert uids <= {image.SOPInstanceUID for image in source}


def test_masks_that_nobody_changed_come_back_as_they_were(
    command: Command, box: Box, scans: list[str], series: list[Path], folder: Path
) -> None:
    command("review", "export", scans[0], "--dicom", series[0], "-o", folder, "--to", box.grpc)
    exported = folder / "scans" / scans[0]
    for file in ("masks.seg.dcm", "lesion.nii.gz"):
        ran = command("review", "import", scans[0], exported / file, "-o", folder, "--json")
        assert ran.code == 0, ran.err
        assert set(ran.lines[0]["dice_before_correction"].values()) == {1.0}


def test_a_mask_may_be_corrected_in_its_place_and_is_not_lost(
    command: Command,
    box: Box,
    scans: list[str],
    series: list[Path],
    phantoms: list[Phantom],
    folder: Path,
) -> None:
    export = ["review", "export", scans[0], "--dicom", series[0], "-o", folder, "--to", box.grpc]
    assert command(*export).code == 0
    mask = folder / "scans" / scans[0] / "lung.nii.gz"
    corrected_nifti(mask.parent, phantoms[0], "lung").replace(mask)
    ran = command("review", "import", scans[0], mask, "-o", folder, "--kind", "lung", "--json")
    assert ran.code == 0, ran.err
    assert 0 < ran.lines[0]["dice_before_correction"]["lung"] < 1
    again = command(*export)
    assert (again.code, "changed since it was exported" in again.err) == (1, True)
    mask.unlink()
    assert command(*export).code == 0


def test_a_scan_is_exported_from_the_state_of_the_appliance(
    command: Command, box: Box, scans: list[str], series: list[Path], folder: Path
) -> None:
    other = folder.with_name("other")
    command("review", "export", scans[0], "--dicom", series[0], "-o", other, "--to", box.grpc)
    ran = command(
        "review", "export", scans[0], "--state", state_of(box), "-o", folder, "--to", box.grpc
    )
    assert ran.code == 0, ran.err
    for name in ("image", "lung", "lesion"):
        one, same = (
            nibabel.load(place / "scans" / scans[0] / f"{name}.nii.gz") for place in (folder, other)
        )
        assert np.array_equal(one.dataobj, same.dataobj)
        assert np.array_equal(one.affine, same.affine)


def test_a_scan_without_dicom_is_exported_as_nifti_alone(
    command: Command, box: Box, phantoms: list[Phantom], folder: Path
) -> None:
    phantom = phantoms[0]
    dz, dy, dx = phantom.spacing
    slices = [
        pb.Slice(
            sequence=number,
            raw=pb.RawSlice(
                sop_instance_uid=f"2.25.9.{number}",
                rows=plane.shape[0],
                columns=plane.shape[1],
                pixels=plane.astype("<i2").tobytes(),
                rescale_slope=1.0,
                image_position=(-150.0, -150.0, dz * number),
                image_orientation=(1, 0, 0, 0, 1, 0),
                pixel_spacing=(dy, dx),
                slice_thickness=dz,
            ),
        )
        for number, plane in enumerate(phantom.hu, 1)
    ]
    opening = pb.OpenScan(study_instance_uid="2.25.7", series_instance_uid="2.25.8")
    report = send_scan(box.grpc, opening, slices).report
    assert report is not None
    arguments = ["review", "export", report.scan_id, "-o", folder, "--to", box.grpc]
    ran = command(*arguments, "--state", state_of(box))
    assert ran.code == 0, ran.err
    assert "sent without DICOM" in ran.out
    exported = folder / "scans" / report.scan_id
    assert not (exported / "masks.seg.dcm").exists()
    image = np.asarray(nibabel.load(exported / "image.nii.gz").dataobj)
    assert np.array_equal(image.transpose(2, 1, 0), phantom.hu)


def test_what_is_wrong_is_said(
    command: Command, box: Box, scans: list[str], series: list[Path], folder: Path, tmp_path: Path
) -> None:
    export = ["review", "export", scans[0], "-o", folder, "--to", box.grpc]
    assert "--dicom" in command(*export).err
    assert "is not in" in command(*export, "--dicom", series[1]).err
    assert "no slices of this scan" in command(*export, "--state", tmp_path).err
    unknown = command("review", "import", scans[0], tmp_path / "no.nii.gz", "-o", folder)
    assert "export it first" in unknown.err
    command(*export, "--dicom", series[0])
    exported = folder / "scans" / scans[0]
    missing = command("review", "import", scans[0], tmp_path / "no.nii.gz", "-o", folder)
    assert "does not exist" in missing.err
    image = command("review", "import", scans[0], exported / "image.nii.gz", "-o", folder)
    assert "a corrected label holds 0, 1, 2" in image.err
    mask = nibabel.load(exported / "lesion.nii.gz")
    shifted = mask.affine.copy()
    shifted[:3, 3] += 40
    nibabel.save(nibabel.Nifti1Image(np.asarray(mask.dataobj), shifted), tmp_path / "far.nii.gz")
    assert "away from its image" in (
        command("review", "import", scans[0], tmp_path / "far.nii.gz", "-o", folder).err
    )
    other = corrected_segmentation_of_zeros(series[1], tmp_path / "other.dcm")
    assert "other images" in command("review", "import", scans[0], other, "-o", folder).err
    turned = pydicom.dcmread(exported / "masks.seg.dcm")
    shared = turned.SharedFunctionalGroupsSequence[0]
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = [-1, 0, 0, 0, 1, 0]
    turned.save_as(tmp_path / "turned.dcm")
    ran = command("review", "import", scans[0], tmp_path / "turned.dcm", "-o", folder)
    assert "do not lie as the images" in ran.err
    alone = command("review", "import", scans[0], exported / "lesion.nii.gz", "-o", folder)
    assert alone.code == 0, alone.err
    assert "scans of 2 patients" in command("review", "train", "-o", folder).err


def test_training_says_what_it_needs(
    command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    ran = command("review", "train", "-o", folder)
    assert ran.code == 1
    assert "torch is not installed" in ran.err
    assert "breathhold[train]" in ran.err


def corrected_segmentation_of_zeros(series: Path, path: Path) -> Path:
    files = [file.read_bytes() for file in sorted(series.glob("*.dcm"))]
    image = pydicom.dcmread(sorted(series.glob("*.dcm"))[0])
    lung = np.zeros((len(files), image.Rows, image.Columns), bool)
    lung[2, 10:20, 10:20] = True
    write_segmentation(path, files, {"lung": lung}, {})
    return path
