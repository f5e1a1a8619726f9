"""Every refusal and every notice that a DICOM file can earn, and every syntax it may come in."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest

from appliance.ingest import IngestLimits, SliceRefusedError, read_dicom
from appliance.ingest.header import Tag
from appliance.scan.verdicts import NoticeReason, RefusalReason
from tests.ingest import codecs
from tests.ingest import synthetic as dicom

SC = "1.2.840.10008.5.1.4.1.1.7"
SHORT_PIXELS = b"\xe0\x7f\x10\x00OW\0\0" + (1000).to_bytes(4, "little") + bytes(1000)
COSINE_TILT_20 = "1\\0\\0\\0\\0.9396926\\-0.3420201"
COSINE_TILT_28 = "1\\0\\0\\0\\0.8829476\\-0.4694716"
COSINE_TILT_3 = "1\\0\\0\\0\\0.9986295\\-0.0523360"


def refusal_of(data: bytes, limits: IngestLimits | None = None) -> RefusalReason:
    with pytest.raises(SliceRefusedError) as caught:
        read_dicom(data, limits or IngestLimits())
    return caught.value.refusal.reason


def notices_of(data: bytes, limits: IngestLimits | None = None) -> set[NoticeReason]:
    read = read_dicom(data, limits or IngestLimits())
    assert all(notice.sop_instance_uid == dicom.SOP_UID for notice in read.header.notices)
    return {notice.reason for notice in read.header.notices}


def test_clean_slice_is_read_without_notice() -> None:
    stored = dicom.stored_pixels()
    read = read_dicom(dicom.ct_file(stored=stored))
    assert read.header.notices == ()
    assert read.header.sop_instance_uid == dicom.SOP_UID
    assert read.header.series_instance_uid == dicom.SERIES_UID
    assert read.header.frame_of_reference_uid == "1.2.3.5"
    assert read.header.kernel == "STANDARD"
    assert read.header.geometry.position == (-90.0, -80.0, -70.0)
    assert read.header.geometry.spacing == (0.7, 0.7)
    assert read.header.geometry.thickness == 1.25
    assert read.hu.dtype == np.int16
    assert read.hu.flags.c_contiguous
    np.testing.assert_array_equal(read.hu, dicom.expected_hu(stored))


REFUSALS: dict[str, tuple[RefusalReason, Callable[[], bytes]]] = {
    "empty": (RefusalReason.NOT_DICOM, lambda: b""),
    "text": (RefusalReason.NOT_DICOM, lambda: b"hello" * 100),
    "no meta": (RefusalReason.TRANSFER_SYNTAX_UNKNOWN, lambda: dicom.data_set()),
    "no syntax": (
        RefusalReason.TRANSFER_SYNTAX_UNKNOWN,
        lambda: dicom.file_meta(None) + dicom.data_set(),
    ),
    "retired JPEG": (
        RefusalReason.TRANSFER_SYNTAX_NOT_ALLOWED,
        lambda: dicom.ct_file(syntax="1.2.840.10008.1.2.4.53"),
    ),
    "retired JPEG 55": (
        RefusalReason.TRANSFER_SYNTAX_NOT_ALLOWED,
        lambda: dicom.ct_file(syntax="1.2.840.10008.1.2.4.55"),
    ),
    "text for rows": (RefusalReason.MALFORMED, lambda: dicom.ct_file({Tag.ROWS: b"manyrows"})),
    "no rows": (RefusalReason.MALFORMED, lambda: dicom.ct_file({Tag.ROWS: None})),
    "tiny matrix": (RefusalReason.MALFORMED, lambda: dicom.ct_file({Tag.ROWS: 4})),
    "bits": (RefusalReason.MALFORMED, lambda: dicom.ct_file({Tag.BITS_STORED: 20})),
    "path as UID": (
        RefusalReason.MALFORMED,
        lambda: dicom.ct_file({Tag.SERIES_INSTANCE_UID: "../../etc"}),
    ),
    "SR": (
        RefusalReason.NOT_AN_IMAGE,
        lambda: dicom.ct_file({Tag.SOP_CLASS_UID: "1.2.840.10008.5.1.4.1.1.88.33"}),
    ),
    "SEG": (
        RefusalReason.NOT_AN_IMAGE,
        lambda: dicom.ct_file({Tag.SOP_CLASS_UID: "1.2.840.10008.5.1.4.1.1.66.4"}),
    ),
    "no pixels": (
        RefusalReason.NOT_AN_IMAGE,
        lambda: dicom.file_meta(dicom.EXPLICIT) + dicom.data_set(),
    ),
    "float pixels": (
        RefusalReason.NOT_AN_IMAGE,
        lambda: dicom.ct_file(pixels=dicom.element(0x7FE00008, bytes(64))),
    ),
    "PET": (
        RefusalReason.NOT_CT,
        lambda: dicom.ct_file({Tag.SOP_CLASS_UID: "1.2.840.10008.5.1.4.1.1.128"}),
    ),
    "MR": (RefusalReason.NOT_CT, lambda: dicom.ct_file({Tag.MODALITY: "MR"})),
    "localizer": (
        RefusalReason.LOCALIZER,
        lambda: dicom.ct_file({Tag.IMAGE_TYPE: "ORIGINAL\\PRIMARY\\LOCALIZER"}),
    ),
    "dose": (
        RefusalReason.DOSE_SCREEN,
        lambda: dicom.ct_file(
            {Tag.IMAGE_TYPE: "DERIVED\\SECONDARY\\\\DOSEINFO", Tag.SOP_CLASS_UID: SC}
        ),
    ),
    "secondary capture": (
        RefusalReason.SECONDARY_CAPTURE,
        lambda: dicom.ct_file({Tag.SOP_CLASS_UID: SC}),
    ),
    "colour": (
        RefusalReason.SECONDARY_CAPTURE,
        lambda: dicom.ct_file({Tag.SAMPLES_PER_PIXEL: 3, Tag.PHOTOMETRIC_INTERPRETATION: "RGB"}),
    ),
    "projection": (
        RefusalReason.DERIVED,
        lambda: dicom.ct_file({Tag.IMAGE_TYPE: "DERIVED\\SECONDARY\\AXIAL\\MIP"}),
    ),
    "frames": (RefusalReason.MULTI_FRAME, lambda: dicom.ct_file({Tag.NUMBER_OF_FRAMES: "2"})),
    "enhanced": (
        RefusalReason.MULTI_FRAME,
        lambda: dicom.ct_file({Tag.SOP_CLASS_UID: f"{dicom.CT_CLASS}.1"}),
    ),
    "functional groups": (
        RefusalReason.MULTI_FRAME,
        lambda: dicom.ct_file({Tag.PER_FRAME_FUNCTIONAL_GROUPS: b""}),
    ),
    "coronal": (
        RefusalReason.NOT_AXIAL,
        lambda: dicom.ct_file({Tag.IMAGE_ORIENTATION: "1\\0\\0\\0\\0\\-1"}),
    ),
    "tilted plane": (
        RefusalReason.GANTRY_TILT,
        lambda: dicom.ct_file({Tag.IMAGE_ORIENTATION: COSINE_TILT_28}),
    ),
    "tilted gantry": (
        RefusalReason.GANTRY_TILT,
        lambda: dicom.ct_file({Tag.GANTRY_DETECTOR_TILT: "-25.5"}),
    ),
    "no position": (
        RefusalReason.NO_GEOMETRY,
        lambda: dicom.ct_file({Tag.IMAGE_POSITION: None}),
    ),
    "three spacings": (
        RefusalReason.NO_GEOMETRY,
        lambda: dicom.ct_file({Tag.PIXEL_SPACING: "0.2\\0\\0.2"}),
    ),
    "text spacing": (
        RefusalReason.NO_GEOMETRY,
        lambda: dicom.ct_file({Tag.PIXEL_SPACING: "n/a\\n/a"}),
    ),
    "nan position": (
        RefusalReason.NO_GEOMETRY,
        lambda: dicom.ct_file({Tag.IMAGE_POSITION: "nan\\0\\0"}),
    ),
    "infinite position": (
        RefusalReason.NO_GEOMETRY,
        lambda: dicom.ct_file({Tag.IMAGE_POSITION: "1e999\\0\\0"}),
    ),
    "zero spacing": (
        RefusalReason.NO_GEOMETRY,
        lambda: dicom.ct_file({Tag.PIXEL_SPACING: "0\\0"}),
    ),
    "long vectors": (
        RefusalReason.NO_GEOMETRY,
        lambda: dicom.ct_file({Tag.IMAGE_ORIENTATION: "2\\0\\0\\0\\2\\0"}),
    ),
    "no slope": (RefusalReason.NO_RESCALE, lambda: dicom.ct_file({Tag.RESCALE_SLOPE: None})),
    "no intercept": (
        RefusalReason.NO_RESCALE,
        lambda: dicom.ct_file({Tag.RESCALE_INTERCEPT: None}),
    ),
    "slope zero": (RefusalReason.NO_RESCALE, lambda: dicom.ct_file({Tag.RESCALE_SLOPE: "0"})),
    "slope text": (RefusalReason.NO_RESCALE, lambda: dicom.ct_file({Tag.RESCALE_SLOPE: "one"})),
    "other unit": (
        RefusalReason.NO_RESCALE,
        lambda: dicom.ct_file({Tag.RESCALE_TYPE: "Z_EFF"}),
    ),
    "lookup table": (
        RefusalReason.NO_RESCALE,
        lambda: dicom.ct_file({Tag.MODALITY_LUT_SEQUENCE: b""}),
    ),
    "coarse slope": (
        RefusalReason.LOSSY_TOO_COARSE,
        lambda: dicom.ct_file({Tag.RESCALE_SLOPE: "32.12"}),
    ),
    "8 bit": (
        RefusalReason.LOSSY_TOO_COARSE,
        lambda: dicom.ct_file({Tag.BITS_ALLOCATED: 8, Tag.BITS_STORED: 8, Tag.HIGH_BIT: 7}),
    ),
    "8 bit JPEG": (
        RefusalReason.LOSSY_TOO_COARSE,
        lambda: dicom.ct_file(syntax=dicom.JPEG_BASELINE, pixels=[b"\xff\xd8\xff\xd9"]),
    ),
    "many rows": (RefusalReason.TOO_LARGE, lambda: dicom.ct_file({Tag.ROWS: 65535})),
    "many columns": (RefusalReason.TOO_LARGE, lambda: dicom.ct_file({Tag.COLUMNS: 2049})),
    "short pixels": (RefusalReason.TRUNCATED, lambda: dicom.ct_file(pixels=SHORT_PIXELS)),
    "cut file": (RefusalReason.TRUNCATED, lambda: dicom.ct_file()[:600]),
    "cut deflate": (
        RefusalReason.TRUNCATED,
        lambda: dicom.ct_file(syntax=dicom.DEFLATED)[:-2000],
    ),
    "no deflate": (
        RefusalReason.MALFORMED,
        lambda: dicom.file_meta(dicom.DEFLATED) + b"\xff" * 100,
    ),
    "32 bit": (
        RefusalReason.UNDECODABLE,
        lambda: dicom.ct_file({Tag.BITS_ALLOCATED: 32}),
    ),
    "native called JPEG-LS": (
        RefusalReason.UNDECODABLE,
        lambda: dicom.ct_file(syntax=dicom.JPEG_LS),
    ),
    "JPEG-LS called native": (
        RefusalReason.UNDECODABLE,
        lambda: dicom.ct_file(pixels=[codecs.jpeg_ls_frame(dicom.stored_pixels())]),
    ),
    "JPEG-LS called JPEG 2000": (
        RefusalReason.UNDECODABLE,
        lambda: dicom.ct_file(
            syntax=dicom.J2K_LOSSLESS, pixels=[codecs.jpeg_ls_frame(dicom.stored_pixels())]
        ),
    ),
    "no fragments": (
        RefusalReason.UNDECODABLE,
        lambda: dicom.ct_file(syntax=dicom.RLE, pixels=[]),
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusal(case: str) -> None:
    reason, make = REFUSALS[case]
    assert refusal_of(make()) is reason


def test_refusals_cover_every_reason_of_a_single_slice() -> None:
    of_the_scan = {
        RefusalReason.OTHER_SERIES,
        RefusalReason.OTHER_FRAME_OF_REFERENCE,
        RefusalReason.GEOMETRY_CONTRADICTION,
        RefusalReason.POSITION_TAKEN,
        RefusalReason.SOP_INSTANCE_REUSED,
        RefusalReason.TOO_MANY_SLICES,
        RefusalReason.SCAN_FINISHED,
    }
    covered = {reason for reason, _ in REFUSALS.values()}
    assert set(RefusalReason) - of_the_scan <= covered


def flipped(orientation: str) -> Callable[[], bytes]:
    return lambda: dicom.ct_file({Tag.IMAGE_ORIENTATION: orientation})


NOTICES: dict[str, tuple[NoticeReason, Callable[[], bytes]]] = {
    "stated lossy": (
        NoticeReason.LOSSY_COMPRESSION,
        lambda: dicom.ct_file({Tag.LOSSY_IMAGE_COMPRESSION: "01"}),
    ),
    "lossy JPEG-LS": (
        NoticeReason.LOSSY_COMPRESSION,
        lambda: dicom.ct_file(
            syntax=dicom.JPEG_LS_NEAR,
            pixels=[codecs.jpeg_ls_frame(dicom.stored_pixels(), lossy_error=2)],
        ),
    ),
    "lossy JPEG 2000": (
        NoticeReason.LOSSY_COMPRESSION,
        lambda: dicom.ct_file(
            syntax=dicom.J2K, pixels=[codecs.jpeg_2000(dicom.stored_pixels(), ratio=10)]
        ),
    ),
    "hash as UID": (
        NoticeReason.MALFORMED_HEADER,
        lambda: dicom.ct_file({Tag.SERIES_INSTANCE_UID: "dbf60361338b"}),
    ),
    "no preamble": (NoticeReason.MALFORMED_HEADER, lambda: dicom.ct_file()[132:]),
    "text thickness": (
        NoticeReason.MALFORMED_HEADER,
        lambda: dicom.ct_file({Tag.SLICE_THICKNESS: "thin"}),
    ),
    "excess pixels": (
        NoticeReason.MALFORMED_HEADER,
        lambda: dicom.ct_file(stored=np.zeros((dicom.SIZE + 1, dicom.SIZE), np.int16)),
    ),
    "no modality": (NoticeReason.MODALITY_MISSING, lambda: dicom.ct_file({Tag.MODALITY: None})),
    "derived": (
        NoticeReason.DERIVED_IMAGE,
        lambda: dicom.ct_file({Tag.IMAGE_TYPE: "DERIVED\\SECONDARY\\AXIAL"}),
    ),
    "unsigned codestream": (
        NoticeReason.SIGN_MISMATCH,
        lambda: dicom.ct_file(
            syntax=dicom.J2K_LOSSLESS,
            pixels=[codecs.jpeg_2000(dicom.stored_pixels().view(np.uint16))],
        ),
    ),
    "inverted": (
        NoticeReason.MONOCHROME1,
        lambda: dicom.ct_file({Tag.PHOTOMETRIC_INTERPRETATION: "MONOCHROME1"}),
    ),
    "small": (
        NoticeReason.SMALL_MATRIX,
        lambda: dicom.ct_file(
            {Tag.ROWS: 128, Tag.COLUMNS: 128}, stored=dicom.stored_pixels(size=128)
        ),
    ),
    "nonsquare": (
        NoticeReason.NONSQUARE_PIXELS,
        lambda: dicom.ct_file({Tag.PIXEL_SPACING: "0.66\\0.99"}),
    ),
    "columns flipped": (NoticeReason.IMAGE_FLIPPED, flipped("-1\\0\\0\\0\\1\\0")),
    "transposed": (NoticeReason.IMAGE_FLIPPED, flipped("0\\1\\0\\1\\0\\0")),
    "prone": (NoticeReason.PRONE, lambda: dicom.ct_file({Tag.PATIENT_POSITION: "FFP"})),
    "thickness 0": (
        NoticeReason.THICKNESS_MISSING,
        lambda: dicom.ct_file({Tag.SLICE_THICKNESS: "0"}),
    ),
    "slight tilt": (NoticeReason.GANTRY_TILT, flipped(COSINE_TILT_3)),
    "sharp": (
        NoticeReason.SHARP_KERNEL,
        lambda: dicom.ct_file({Tag.CONVOLUTION_KERNEL: "B70f"}),
    ),
    "contrast": (
        NoticeReason.CONTRAST,
        lambda: dicom.ct_file({Tag.CONTRAST_BOLUS_AGENT: "IODINE"}),
    ),
}


@pytest.mark.parametrize("case", NOTICES)
def test_notice(case: str) -> None:
    reason, make = NOTICES[case]
    assert reason in notices_of(make())


def test_notices_cover_every_reason_of_a_single_slice() -> None:
    of_the_scan = {
        NoticeReason.GAP,
        NoticeReason.UNEVEN_SPACING,
        NoticeReason.OVERLAPPING_SLICES,
        NoticeReason.LUNG_CUT_OFF_TOP,
        NoticeReason.LUNG_CUT_OFF_BOTTOM,
        NoticeReason.SECTION_CHANGED,
        NoticeReason.SLICES_EXPECTED,
        NoticeReason.MOTION_ARTEFACT,
        NoticeReason.STRONG_NOISE,
        NoticeReason.METAL,
        NoticeReason.SLICES_LOST,
        NoticeReason.DEVICE_LOST,
        NoticeReason.MODELS_REPLACED,
        NoticeReason.LOBES_FAILED,
        NoticeReason.SEGMENTS_FAILED,
    }
    assert set(NoticeReason) - of_the_scan == {reason for reason, _ in NOTICES.values()}


@pytest.mark.parametrize(
    "syntax",
    [
        dicom.IMPLICIT,
        dicom.EXPLICIT,
        dicom.BIG_ENDIAN,
        dicom.DEFLATED,
        dicom.RLE,
        dicom.JPEG_LOSSLESS,
        dicom.JPEG_LOSSLESS_SV1,
        dicom.JPEG_LS,
        dicom.J2K_LOSSLESS,
        dicom.HTJ2K_LOSSLESS,
        dicom.HTJ2K_LOSSLESS_RPCL,
    ],
)
def test_every_lossless_syntax_gives_the_same_slice(syntax: str) -> None:
    stored = dicom.stored_pixels(seed=3)
    frames = {
        dicom.RLE: lambda: [codecs.rle(stored)],
        dicom.JPEG_LOSSLESS: lambda: [codecs.jpeg_lossless(stored)],
        dicom.JPEG_LOSSLESS_SV1: lambda: [codecs.jpeg_lossless(stored)],
        dicom.JPEG_LS: lambda: [codecs.jpeg_ls_frame(stored)],
        dicom.J2K_LOSSLESS: lambda: [codecs.jpeg_2000(stored)],
        dicom.HTJ2K_LOSSLESS: lambda: [codecs.htj2k(stored)],
        dicom.HTJ2K_LOSSLESS_RPCL: lambda: [codecs.htj2k(stored)],
    }
    pixels = frames[syntax]() if syntax in frames else None
    read = read_dicom(dicom.ct_file(syntax=syntax, stored=stored, pixels=pixels))
    assert read.header.notices == ()
    assert read.header.digest == read_dicom(dicom.ct_file(stored=stored)).header.digest
    np.testing.assert_array_equal(read.hu, dicom.expected_hu(stored))


def test_frame_split_over_fragments() -> None:
    stored = dicom.stored_pixels()
    frame = codecs.jpeg_2000(stored)
    pieces = [frame[:1000], frame[1000:2000], frame[2000:]]
    read = read_dicom(dicom.ct_file(syntax=dicom.J2K_LOSSLESS, pixels=pieces))
    np.testing.assert_array_equal(read.hu, dicom.expected_hu(stored))


def test_monochrome1_is_not_inverted() -> None:
    plain = read_dicom(dicom.ct_file())
    inverted = read_dicom(dicom.ct_file({Tag.PHOTOMETRIC_INTERPRETATION: "MONOCHROME1"}))
    np.testing.assert_array_equal(plain.hu, inverted.hu)


def test_tilt_limit_is_a_limit() -> None:
    tilted = dicom.ct_file({Tag.IMAGE_ORIENTATION: COSINE_TILT_20})
    assert notices_of(tilted) == {NoticeReason.GANTRY_TILT}
    assert refusal_of(tilted, IngestLimits(max_tilt_degrees=19)) is RefusalReason.GANTRY_TILT


def test_forbidden_syntax_is_named() -> None:
    limits = IngestLimits(allowed_transfer_syntaxes=frozenset({dicom.IMPLICIT}))
    assert refusal_of(dicom.ct_file(), limits) is RefusalReason.TRANSFER_SYNTAX_NOT_ALLOWED


def test_missing_sop_uid_comes_from_the_meta_then_from_the_digest() -> None:
    without = dicom.ct_file({Tag.SOP_INSTANCE_UID: None})
    assert read_dicom(without).header.sop_instance_uid == dicom.SOP_UID
    no_meta_uid = without.replace(b"\x02\x00\x03\x00UI", b"\x02\x00\x04\x00UI")
    first, second = read_dicom(no_meta_uid), read_dicom(no_meta_uid)
    assert first.header.sop_instance_uid.startswith("2.25.")
    assert first.header.sop_instance_uid == second.header.sop_instance_uid
    assert len(first.header.sop_instance_uid) <= 64


def test_digest_tells_images_and_places_apart() -> None:
    one = read_dicom(dicom.ct_file()).header.digest
    other_place = read_dicom(dicom.ct_file({Tag.IMAGE_POSITION: "-90\\-80\\-71"})).header.digest
    other_image = read_dicom(dicom.ct_file(stored=dicom.stored_pixels(seed=9))).header.digest
    other_uid = read_dicom(dicom.ct_file({Tag.SOP_INSTANCE_UID: "1.2.9"})).header.digest
    assert len(one) == 16
    assert len({one, other_place, other_image}) == 3
    assert one == other_uid


def test_refusals_hold_no_patient_data() -> None:
    name = "DOE^JANE"
    for reason, make in REFUSALS.values():
        data = make().replace(b"1.2.3.5", name.encode()[:7])
        with pytest.raises(SliceRefusedError) as caught:
            read_dicom(data)
        said = f"{caught.value} {dict(caught.value.refusal.metadata)}"
        assert "DOE" not in said, reason


def test_reads_from_several_threads_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    frame = codecs.jpeg_2000(dicom.stored_pixels(seed=5))
    files = [
        dicom.ct_file(stored=dicom.stored_pixels(seed=5)),
        dicom.ct_file(syntax=dicom.J2K_LOSSLESS, pixels=[frame]),
        dicom.ct_file({Tag.SERIES_INSTANCE_UID: "abc"}, stored=dicom.stored_pixels(seed=5)),
    ]
    digests: set[bytes] = set()

    def read_all() -> None:
        for _ in range(5):
            digests.update(read_dicom(data).header.digest for data in files)

    threads = [threading.Thread(target=read_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(digests) == 1
    assert capfd.readouterr() == ("", "")
