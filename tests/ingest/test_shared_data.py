"""Real files end as their README says an ingest should end them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from appliance.ingest import SliceRefusedError, find_series, read_dicom
from appliance.scan.verdicts import NoticeReason, RefusalReason

_ROW = re.compile(r"^\| `([^`/]+)` \| (accept|warn|reject|ignore) \|", re.MULTILINE)

#: What a slice is accepted with is no more than information.
_HARMLESS = {
    NoticeReason.SMALL_MATRIX,
    NoticeReason.CONTRAST,
    NoticeReason.DERIVED_IMAGE,
    NoticeReason.IMAGE_FLIPPED,
    NoticeReason.THICKNESS_MISSING,
    NoticeReason.LOSSY_COMPRESSION,
}
_WARNINGS = {
    "bad-sequence.dcm": NoticeReason.MALFORMED_HEADER,
    "j2k-lossy-low-rate.dcm": NoticeReason.LOSSY_COMPRESSION,
    "j2k-lossy-ct1.dcm": NoticeReason.LOSSY_COMPRESSION,
    "implicit-file-meta.dcm": NoticeReason.MALFORMED_HEADER,
    "j2k-pixel-representation-mismatch.dcm": NoticeReason.SIGN_MISMATCH,
    "missing-modality.dcm": NoticeReason.MODALITY_MISSING,
    "small-ct-128.dcm": NoticeReason.SMALL_MATRIX,
    "made-nonsquare-pixels.dcm": NoticeReason.NONSQUARE_PIXELS,
    "made-flipped-columns.dcm": NoticeReason.IMAGE_FLIPPED,
    "made-feet-first-prone.dcm": NoticeReason.PRONE,
    "made-thickness-zero.dcm": NoticeReason.THICKNESS_MISSING,
    "made-monochrome1.dcm": NoticeReason.MONOCHROME1,
}
_REFUSALS = {
    "localizer-256x512.dcm": RefusalReason.LOCALIZER,
    "localizer-header-only.dcm": RefusalReason.LOCALIZER,
    "dose-screen-rgb.dcm": RefusalReason.DOSE_SCREEN,
    "enhanced-multiframe-perfusion.dcm": RefusalReason.MULTI_FRAME,
    "sagittal-reformat.dcm": RefusalReason.NOT_AXIAL,
    "made-coronal.dcm": RefusalReason.NOT_AXIAL,
    "made-no-rescale.dcm": RefusalReason.NO_RESCALE,
    "made-no-position.dcm": RefusalReason.NO_GEOMETRY,
    "made-nan-text-numbers.dcm": RefusalReason.NO_GEOMETRY,
    "made-short-pixels.dcm": RefusalReason.TRUNCATED,
    "wrong-transfer-syntax.dcm": RefusalReason.UNDECODABLE,
    "j2k-truncated-codestream-1.dcm": RefusalReason.UNDECODABLE,
    "big-endian-with-implicit-un.dcm": RefusalReason.MALFORMED,
    "pet-jpeg-lossless.dcm": RefusalReason.NOT_CT,
    "seg-rle.dcm": RefusalReason.NOT_AN_IMAGE,
    "sr-report.dcm": RefusalReason.NOT_AN_IMAGE,
    "dicomdir": RefusalReason.NOT_AN_IMAGE,
    "meta-without-transfer-syntax.dcm": RefusalReason.TRANSFER_SYNTAX_UNKNOWN,
    "rtstruct.dcm": RefusalReason.TRANSFER_SYNTAX_UNKNOWN,
    "sc-8bit-abdomen.dcm": RefusalReason.SECONDARY_CAPTURE,
}
#: A second image at one position is the scan's business, not one file's.
_DUPLICATE = "made-duplicate-position.dcm"


def outcome(path: Path) -> RefusalReason | set[NoticeReason]:
    try:
        read = read_dicom(path.read_bytes())
    except SliceRefusedError as error:
        return error.refusal.reason
    return {notice.reason for notice in read.header.notices}


def test_odd_files_end_as_expected(shared_ct: Path, capfd: pytest.CaptureFixture[str]) -> None:
    expected = dict(_ROW.findall((shared_ct / "dicom/README.md").read_text()))
    files = {path.name for path in (shared_ct / "dicom/odd").iterdir()}
    assert files == set(expected)
    wrong = {}
    for name in sorted(files - {_DUPLICATE}):
        found = outcome(shared_ct / "dicom/odd" / name)
        if not _as_expected(name, expected[name], found):
            wrong[name] = found
    assert wrong == {}
    assert capfd.readouterr() == ("", "")


def _as_expected(name: str, expected: str, found: RefusalReason | set[NoticeReason]) -> bool:
    if isinstance(found, RefusalReason):
        return expected in ("reject", "ignore") and _REFUSALS.get(name, found) is found
    if expected == "accept":
        return found <= _HARMLESS
    return expected == "warn" and _WARNINGS[name] in found


def test_sign_mismatch_is_put_right(shared_ct: Path) -> None:
    path = shared_ct / "dicom/odd/j2k-pixel-representation-mismatch.dcm"
    assert outcome(path) == {NoticeReason.SIGN_MISMATCH, NoticeReason.GANTRY_TILT}
    hu = read_dicom(path.read_bytes()).hu
    # Values that pydicom's own tests give for this file; -2000 is padding.
    assert hu[0, 0] == -1024
    assert hu[47:57, 279].tolist() == [621, 412, 138, -193, -520, -767, -907, -966, -988, -995]


def test_duplicate_position_is_not_one_files_business(shared_ct: Path) -> None:
    assert isinstance(outcome(shared_ct / "dicom/odd" / _DUPLICATE), set)


def test_same_slice_with_slope_2_has_the_same_hu(shared_ct: Path) -> None:
    odd = shared_ct / "dicom/odd"
    plain = read_dicom((odd / "small-ct-128.dcm").read_bytes()).hu
    halved = read_dicom((odd / "made-slope-2.dcm").read_bytes()).hu
    assert abs(plain.astype(int) - halved.astype(int)).max() <= 1


def test_nine_lossless_syntaxes_give_one_slice(shared_ct: Path) -> None:
    lossless = ("2", "2.1", "2.2", "2.1.99", "2.5", "2.4.57", "2.4.70", "2.4.80", "2.4.90")
    digests = set()
    for path in (shared_ct / "dicom/syntaxes").iterdir():
        if path.name.endswith(tuple(f"_1.2.840.10008.1.{end}.dcm" for end in lossless)):
            read = read_dicom(path.read_bytes())
            digests.add(read.header.digest)
            assert read.header.notices == ()
            assert (read.hu.min(), read.hu.max()) == (-1024, 2402 - 1024)
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ("2.4.50", RefusalReason.LOSSY_TOO_COARSE),
        ("2.4.51", {NoticeReason.LOSSY_COMPRESSION, NoticeReason.DERIVED_IMAGE}),
        ("2.4.53", RefusalReason.TRANSFER_SYNTAX_NOT_ALLOWED),
        ("2.4.55", RefusalReason.TRANSFER_SYNTAX_NOT_ALLOWED),
        ("2.4.81", {NoticeReason.LOSSY_COMPRESSION, NoticeReason.DERIVED_IMAGE}),
        ("2.4.91", {NoticeReason.LOSSY_COMPRESSION, NoticeReason.DERIVED_IMAGE}),
    ],
)
def test_lossy_syntaxes(
    shared_ct: Path, end: str, expected: RefusalReason | set[NoticeReason]
) -> None:
    (path,) = (shared_ct / "dicom/syntaxes").glob(f"*_1.2.840.10008.1.{end}.dcm")
    assert outcome(path) == expected


@pytest.mark.parametrize("folder", ["tilted", "irregular"])
def test_tilted_slices_are_noticed_one_by_one(shared_ct: Path, folder: str) -> None:
    """That their stack is sheared shows only where several are seen."""
    for path in (shared_ct / "dicom" / folder).iterdir():
        found = outcome(path)
        assert NoticeReason.GANTRY_TILT in found, path.name


def test_series_with_a_gap_is_two_series_of_good_slices(shared_ct: Path) -> None:
    listing = find_series(shared_ct / "dicom/gap")
    assert [len(series.files) for series in listing.series] == [7, 7]
    for series in listing.series:
        assert all(outcome(path) == set() for path in series.files)


def test_chest_series(shared_ct: Path) -> None:
    folder = shared_ct / "dicom/ricord-419639"
    (series,) = find_series(folder).series
    assert len(series.files) == 248
    slices = [read_dicom(path.read_bytes()) for path in series.files[::20]]
    places = [one.header.geometry.along_mm for one in slices]
    assert places == sorted(places)
    assert all(one.hu.min() == -1024 for one in slices)
    assert all(one.header.notices == () for one in slices)


def test_folder_of_odd_files_is_listed_without_a_crash(shared_ct: Path) -> None:
    listing = find_series(shared_ct / "dicom/odd")
    files = sum(len(series.files) for series in listing.series)
    assert files + len(listing.skipped) == len(list((shared_ct / "dicom/odd").iterdir()))
    assert "dicomdir" in {skipped.path.name for skipped in listing.skipped}
