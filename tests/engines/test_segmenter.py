from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from engines.models import ModelError, load_repository
from engines.preprocess import Frame, Image
from engines.runtimes import RuntimeUnavailableError, choose
from engines.segmenter import Segmenter, SegmentRequest
from engines.warm_up import warm_up_input
from tests.tiny_models import SIZE, write_block_repository, write_tiny_repository


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_repository(tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="module")
def segmenter(repository: Path) -> Segmenter:
    return Segmenter(load_repository(repository), choose("openvino"), batch=4)


def chest(rng: np.random.Generator, *, patch: bool = True) -> Image:
    hu = np.full((96, 96), 40, np.int16)
    hu[20:80, 20:80] = -850
    if patch:
        y, x = rng.integers(25, 60, 2)
        hu[y : y + 15, x : x + 15] = -500
    return Image(hu, Frame(96, 96))


def requests(segmenter: Segmenter, images: list[Image]) -> list[SegmentRequest]:
    planes = segmenter.prepare(images)
    return [
        SegmentRequest("lesion", (plane, plane, plane), image.frame)
        for plane, image in zip(planes, images, strict=True)
    ]


def test_masks_are_found_and_lesion_lies_inside_lung(segmenter: Segmenter) -> None:
    rng = np.random.default_rng(1)
    images = [chest(rng) for _ in range(6)]
    for image, masks in zip(images, segmenter.segment(requests(segmenter, images)), strict=True):
        assert masks.lung.shape == masks.lesion.shape == (96, 96)
        inside = image.hu < 0
        overlap = np.count_nonzero(masks.lung & inside)
        assert 2 * overlap / (masks.lung.sum() + inside.sum()) > 0.95
        patch = image.hu == -500
        assert np.count_nonzero(masks.lesion & patch) > 0.8 * np.count_nonzero(patch)
        assert not (masks.lesion & ~masks.lung).any()


def test_a_result_does_not_depend_on_what_shares_its_batch(segmenter: Segmenter) -> None:
    rng = np.random.default_rng(2)
    asked = requests(segmenter, [chest(rng) for _ in range(7)])
    together = segmenter.segment(asked)
    for request, masks in zip(asked, together, strict=True):
        (alone,) = segmenter.segment([request])
        assert np.array_equal(alone.lung, masks.lung)
        assert np.array_equal(alone.lesion, masks.lesion)


def test_no_lung_no_lesion(segmenter: Segmenter) -> None:
    image = Image(np.full((96, 96), 60, np.int16), Frame(96, 96))
    (masks,) = segmenter.segment(requests(segmenter, [image]))
    assert not masks.lung.any()
    assert not masks.lesion.any()


def test_a_block_model_answers_every_plane_and_nothing_else(tmp_path: Path) -> None:
    blocks = Segmenter(load_repository(write_block_repository(tmp_path)), choose("openvino"))
    image = chest(np.random.default_rng(3))
    (plane,) = blocks.prepare([image])
    air = np.zeros_like(plane)
    planes = [[given] for given in (air, plane, plane, plane, air, air, air, air)]
    answer = np.asarray(blocks.answer_block("lesion_thin", planes))
    assert answer.shape == (8, *plane.shape)
    assert np.array_equal(answer, blocks.answer_block("lesion_thin", planes))
    assert answer[2].max() > 0.9
    assert answer[6].max() < 0.1
    asked = SegmentRequest("lesion_thin", (plane,), image.frame, lambda: answer[2])
    (masks,) = blocks.segment([asked])
    assert masks.lesion.any()
    with pytest.raises(ValueError, match="lesion_thin answers blocks"):
        blocks.segment([SegmentRequest("lesion_thin", (plane,), image.frame)])


def test_the_warm_up_is_the_same_everywhere(segmenter: Segmenter) -> None:
    spec = segmenter.lung
    slab = warm_up_input(spec)
    assert slab.shape == (1, 1, SIZE, SIZE)
    assert slab.dtype == np.float32
    assert np.array_equal(slab, warm_up_input(spec))
    assert 0 <= slab.min() < slab.max() <= 1


def rewritten(repository: Path, folder: Path, model: str, pattern: str, text: str) -> Path:
    write_tiny_repository(folder)
    path = folder / model / "spec.toml"
    path.write_text(re.sub(pattern, text, path.read_text(), flags=re.MULTILINE))
    return folder


def test_a_wrong_warm_up_answer_stops_the_start(repository: Path, tmp_path: Path) -> None:
    sealed = "[warm_up]\nmean = 0.9\nmaximum = 1.0\n[[artefact]]"
    folder = rewritten(repository, tmp_path, "lung", r"^\[\[artefact\]\]", sealed)
    with pytest.raises(ModelError, match="warm-up answer is"):
        Segmenter(load_repository(folder), choose("openvino"))


def test_an_answer_of_another_shape_stops_the_start(tmp_path: Path) -> None:
    path = write_block_repository(tmp_path) / "lesion_thick" / "spec.toml"
    path.write_text(path.read_text().replace("[output]", 'form = "block"\n[output]'))
    with pytest.raises(ModelError, match=r"shape is \(64, 64\), not \(3, 64, 64\)"):
        Segmenter(load_repository(tmp_path), choose("openvino"))


def test_models_must_share_their_window(repository: Path, tmp_path: Path) -> None:
    folder = rewritten(repository, tmp_path, "lung", "^window_hu.*", "window_hu = [-1000.0, 0.0]")
    with pytest.raises(ModelError, match="share window and size"):
        Segmenter(load_repository(folder), choose("openvino"))


def test_both_roles_are_needed(repository: Path) -> None:
    lung, lesion = sorted(load_repository(repository), key=lambda spec: spec.role == "lesion")
    with pytest.raises(ModelError, match="no lesion model"):
        Segmenter([lung], choose("openvino"))
    with pytest.raises(ModelError, match="one lung model"):
        Segmenter([lesion], choose("openvino"))


def test_unknown_runtimes_are_named() -> None:
    with pytest.raises(RuntimeUnavailableError, match="no runtime is called 'abacus'"):
        choose("abacus")


def test_a_file_that_is_no_network_is_an_error(repository: Path, tmp_path: Path) -> None:
    import hashlib

    write_tiny_repository(tmp_path)
    path = tmp_path / "lung" / "1" / "model.onnx"
    path.write_bytes(b"no network")
    digest = hashlib.sha256(b"no network").hexdigest()
    spec = tmp_path / "lung" / "spec.toml"
    spec.write_text(re.sub(r"^sha256 = .*", f'sha256 = "{digest}"', spec.read_text(), flags=re.M))
    with pytest.raises(ModelError, match="OpenVINO cannot load it"):
        Segmenter(load_repository(tmp_path), choose("openvino"))
