from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from calibration.evaluation import EvaluationError, find_cases, read_case, section_of_case
from tests.evaluation.made_cases import LPS, write_nifti

SHAPE = (6, 5, 4)


def hu(seed: int = 1) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
    return np.random.default_rng(seed).integers(-1024, 1000, SHAPE).astype(np.int16)


def labels(seed: int = 2) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(seed).choice([0, 1, 255], SHAPE).astype(np.uint8)


def write(folder: Path, **arrays: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Path:
    for name, array in arrays.items():
        write_nifti(folder / f"{name}.nii.gz", array)
    return folder


def test_our_own_format_is_read_as_it_lies(tmp_path: Path) -> None:
    lesion = labels()
    lesion[0, 0, 0] = 2
    case = read_case(write(tmp_path / "one", image=hu(), lesion=lesion, lung=labels(3)))
    assert case.name == "one"
    np.testing.assert_array_equal(case.hu, hu().transpose(2, 1, 0))
    expected = np.where(lesion == 2, 1, lesion).transpose(2, 1, 0)
    np.testing.assert_array_equal(case.lesion, expected)
    np.testing.assert_array_equal(case.lung, labels(3).transpose(2, 1, 0))
    assert case.lesion_b is None
    assert case.spacing_mm == pytest.approx((6.0, 0.7, 0.7))
    assert case.pixel_ml == pytest.approx(0.7 * 0.7 * 6 / 1000)


def test_the_section_is_in_the_header(tmp_path: Path) -> None:
    """On its side, and cut off after the header: the values are not needed."""
    for spacing, section in ((1.5, "thin"), (2.5, "medium"), (5.0, "thick")):
        affine = np.array([[0, 0.7, 0, 0], [0, 0, 0.7, 0], [spacing, 0, 0, 0], [0, 0, 0, 1]])
        path = tmp_path / section / "image.nii"
        write_nifti(path, hu(), affine)
        path.write_bytes(path.read_bytes()[:400])
        assert section_of_case(path.parent) == section
        with pytest.raises(EvaluationError, match="cannot be read"):
            read_case(path.parent)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, -1), (1, -1, -1)])
def test_any_axis_order_and_direction_is_the_same_case(
    tmp_path: Path, order: tuple[int, int, int], flips: tuple[int, int, int]
) -> None:
    """Files that say by their affine how they lie."""
    plain = read_case(write(tmp_path / "plain", image=hu(), lesion=labels(), lung=labels(3)))
    turning = np.zeros((4, 4))
    turning[3, 3] = 1
    size = np.array(SHAPE)
    for new, old in enumerate(order):
        turning[old, new] = flips[old]
        turning[old, 3] += (size[old] - 1) if flips[old] < 0 else 0
    for name, array in (("image", hu()), ("lesion", labels()), ("lung", labels(3))):
        turned = array[tuple(slice(None, None, flip) for flip in flips)].transpose(order)
        write_nifti(tmp_path / "turned" / f"{name}.nii.gz", turned, LPS @ turning)
    case = read_case(tmp_path / "turned")
    np.testing.assert_array_equal(case.hu, plain.hu)
    np.testing.assert_array_equal(case.lesion, plain.lesion)
    np.testing.assert_array_equal(case.lung, plain.lung)
    assert case.spacing_mm == pytest.approx(plain.spacing_mm)


def test_float_images_are_rounded_and_clamped(tmp_path: Path) -> None:
    image = np.full(SHAPE, -2000.0, np.float32)
    image[0, 0, :3] = [-700.4, 40.6, 99999.0]
    case = read_case(write(tmp_path / "one", image=image))
    assert case.hu[:3, 0, 0].tolist() == [-700, 41, 32767]
    assert case.hu[3, 0, 0] == -1024


def test_missing_labels_are_unlabelled(tmp_path: Path) -> None:
    case = read_case(write(tmp_path / "one", image=hu()))
    assert (case.lesion == 255).all()
    assert (case.lung == 255).all()


def test_a_series_of_one_volume_is_that_volume(tmp_path: Path) -> None:
    case = read_case(write(tmp_path / "one", image=hu()[..., None]))
    np.testing.assert_array_equal(case.hu, hu().transpose(2, 1, 0))


def test_uncompressed_files_are_read_too(tmp_path: Path) -> None:
    write_nifti(tmp_path / "one" / "image.nii", hu())
    assert read_case(tmp_path / "one").hu.shape == SHAPE[::-1]


def test_cases_of_a_folder_and_a_folder_that_is_a_case(tmp_path: Path) -> None:
    for name in ("b", "a"):
        write(tmp_path / "data" / name, image=hu())
    (tmp_path / "data" / "other").mkdir()
    assert [path.name for path in find_cases(tmp_path / "data")] == ["a", "b"]
    assert [path.name for path in find_cases(tmp_path / "data", ["b"])] == ["b"]
    assert find_cases(tmp_path / "data" / "a") == [tmp_path / "data" / "a"]


def test_what_is_no_case_is_named(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="is no folder"):
        find_cases(tmp_path / "nowhere")
    with pytest.raises(EvaluationError, match="holds no case"):
        find_cases(tmp_path)
    write(tmp_path / "a", image=hu())
    with pytest.raises(EvaluationError, match="no case c; there are a"):
        find_cases(tmp_path, ["a", "c"])


def test_labels_on_another_grid_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "one", image=hu(), lesion=labels()[:5])
    with pytest.raises(EvaluationError, match=r"lesion.nii.gz: its shape is \(4, 5, 5\)"):
        read_case(folder)
    moved = LPS.copy()
    moved[2, 3] = 30
    write_nifti(folder / "lesion.nii.gz", labels(), moved)
    with pytest.raises(EvaluationError, match=r"30\.0 mm away"):
        read_case(folder)


def test_other_label_values_are_refused(tmp_path: Path) -> None:
    lesion = labels()
    lesion[0, 0, 0], lesion[1, 1, 1] = 3, 7
    with pytest.raises(EvaluationError, match="this one also 3, 7"):
        read_case(write(tmp_path / "one", image=hu(), lesion=lesion))


def test_what_is_not_hu_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="not in HU"):
        read_case(write(tmp_path / "one", image=(hu() - hu().min()).astype(np.int16)))
    image = hu().astype(np.float32)
    image[0, 0, 0] = np.nan
    with pytest.raises(EvaluationError, match="not finite"):
        read_case(write(tmp_path / "two", image=image))
    with pytest.raises(EvaluationError, match="three dimensions"):
        read_case(write(tmp_path / "three", image=hu()[:, :, :, None].repeat(2, axis=3)))


def test_what_is_not_axial_is_refused(tmp_path: Path) -> None:
    angle = np.deg2rad(30)
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    write_nifti(tmp_path / "tilted" / "image.nii.gz", hu(), turn @ np.diag([1.0, 1, 1, 1]))
    with pytest.raises(EvaluationError, match="not axial, they lean by 30 degrees"):
        read_case(tmp_path / "tilted")
    write_nifti(tmp_path / "coronal" / "image.nii.gz", hu(), np.diag([-0.7, -5.0, 0.7, 1]))
    with pytest.raises(EvaluationError, match=r"a pixel measures 0.7 x 5 mm"):
        read_case(tmp_path / "coronal")


@pytest.mark.parametrize("content", [b"", b"no NIfTI at all", gzip.compress(b"short")])
def test_unreadable_files_are_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "image.nii.gz").write_bytes(content)
    with pytest.raises(EvaluationError, match=r"image.nii.gz cannot be read as NIfTI"):
        read_case(tmp_path / "one")


def test_truncated_files_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "one", image=hu()) / "image.nii.gz"
    path.write_bytes(path.read_bytes()[:150])
    with pytest.raises(EvaluationError, match="cannot be read as NIfTI"):
        read_case(tmp_path / "one")


def test_colours_are_no_image(tmp_path: Path) -> None:
    colours = np.zeros(SHAPE, np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))
    with pytest.raises(EvaluationError, match="cannot be read as NIfTI"):
        read_case(write(tmp_path / "one", image=colours))
