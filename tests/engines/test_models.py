from __future__ import annotations

import re
from pathlib import Path

import pytest

from engines.models import ModelError, load_repository, load_spec
from engines.parts import LOBE_NAMES
from tests.tiny_models import (
    BLOCK_OVERLAP,
    BLOCK_PLANES,
    SEGMENT_NAMES,
    write_block_repository,
    write_segments_repository,
    write_tiny_repository,
)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return write_tiny_repository(tmp_path)


def change(folder: Path, pattern: str, replacement: str) -> None:
    path = folder / "spec.toml"
    text = path.read_text()
    changed = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    assert changed != text
    path.write_text(changed)


def test_a_repository_is_read(repository: Path) -> None:
    specs = {spec.name: spec for spec in load_repository(repository)}
    assert specs.keys() == {"lung", "lesion"}
    assert specs["lesion"].planes == 3
    assert (specs["lesion"].form, specs["lesion"].output_planes) == ("neighbours", 1)
    specs["lesion"].artefact("fp32").verify()


def test_a_model_is_called_as_its_folder(repository: Path) -> None:
    (repository / "lung").rename(repository / "lungs")
    with pytest.raises(ModelError, match="called as its folder, not 'lung'"):
        load_repository(repository)


def test_a_segments_model_names_its_maps(tmp_path: Path) -> None:
    specs = {spec.name: spec for spec in load_repository(write_segments_repository(tmp_path))}
    assert specs["segments"].parts == SEGMENT_NAMES
    assert specs["segments"].output_planes == 18 * specs["segments"].planes
    assert specs["segments"].contract.endswith(f", 18 maps of {', '.join(SEGMENT_NAMES)}")
    assert specs["lobes"].parts == LOBE_NAMES
    assert specs["lobes"].contract.endswith(", 5 maps")
    assert specs["lung"].parts == ()


@pytest.mark.parametrize(
    ("model", "pattern", "replacement", "message"),
    [
        ("segments", r"^names = .*", "", "names each of its 18 maps, not 0 of them"),
        ("segments", r"^maps = 18", "maps = 17", "names each of its 17 maps, not 18 of them"),
        ("segments", r"^maps = 18", "maps = 256", "at most 255 maps"),
        ("segments", "right_segment_3", "right_segment_4", "one name: right_segment_4"),
        ("segments", "right_segment_3", "Right B3", "is snake_case, not 'Right B3'"),
        ("segments", '"right_segment_3"', "3", "is snake_case, not '3'"),
        ("segments", r"^names = .*", 'names = "right"', "expected a list"),
        ("lobes", r"^maps = 5", "maps = 4", "a lobes model has 5 maps, one a lobe, not 4"),
        ("lobes", r"^maps = 5", 'maps = 5\nnames = ["a"]', "a lobes model gives its maps no names"),
        ("lung", r"^role = .*", 'role = "segments"', "a segments model answers a block"),
    ],
)
def test_maps_that_are_no_parts_of_the_lung_are_named(
    tmp_path: Path, model: str, pattern: str, replacement: str, message: str
) -> None:
    folder = write_segments_repository(tmp_path) / model
    change(folder, pattern, replacement)
    with pytest.raises(ModelError, match=message):
        load_spec(folder)


def test_a_block_model_is_read(tmp_path: Path) -> None:
    spec = load_spec(write_block_repository(tmp_path) / "lesion_thin")
    assert (spec.form, spec.overlap) == ("block", BLOCK_OVERLAP)
    assert spec.planes == spec.output_planes == BLOCK_PLANES


@pytest.mark.parametrize(
    ("model", "pattern", "replacement", "message"),
    [
        ("lesion_thin", r'^form = "block"', 'form = "tower"', "form must be one of"),
        ("lesion_thin", r"^overlap = 2", "overlap = 5", "overlap must be 0 to 4 planes"),
        ("lesion_thin", r"^planes = 8", "planes = 1", "at least 2 planes"),
        ("lesion_thin", r"^neighbour_mm = 3.0", "neighbour_mm = 0.0", "distance between them"),
        ("lesion_thick", r"^planes = 3", "planes = 3\noverlap = 1", "only blocks overlap"),
    ],
)
def test_an_impossible_form_is_named(
    tmp_path: Path, model: str, pattern: str, replacement: str, message: str
) -> None:
    folder = write_block_repository(tmp_path) / model
    change(folder, pattern, replacement)
    with pytest.raises(ModelError, match=message):
        load_spec(folder)


@pytest.mark.parametrize(
    ("pattern", "replacement", "message"),
    [
        (r'^role = "lesion"', 'role = "heart"', "role must be one of"),
        (r"^planes = 3", "planes = 2", "planes must be odd"),
        (r"^window_hu = .*", "window_hu = [100.0, 100.0]", "window"),
        (r"^sections = .*", 'sections = ["huge"]', "sections"),
        (r"^threshold = .*", "", "field missing or wrong: KeyError"),
        (r'^precision = "fp32"', 'precision = "fp8"', "precision must be one of"),
        (r"^size = .*", "size = 64", "expected a list"),
        (r"^\[input\]", "[input", "spec.toml"),
    ],
)
def test_a_broken_spec_is_named(
    repository: Path, pattern: str, replacement: str, message: str
) -> None:
    change(repository / "lesion", pattern, replacement)
    with pytest.raises(ModelError, match=message):
        load_spec(repository / "lesion")


def test_a_changed_file_is_not_served(repository: Path) -> None:
    path = repository / "lung" / "1" / "model.onnx"
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ModelError, match="SHA-256"):
        load_spec(repository / "lung").artefact("fp32").verify()
    path.unlink()
    with pytest.raises(ModelError, match="missing"):
        load_spec(repository / "lung").artefact("fp32").verify()


def test_an_absent_precision_and_an_empty_folder_are_errors(
    repository: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="no int8"):
        load_spec(repository / "lung").artefact("int8")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="no model found"):
        load_repository(tmp_path / "empty")


def test_a_lobes_model_answers_a_block_once_a_map(tmp_path: Path) -> None:
    folder = write_block_repository(tmp_path) / "lesion_thin"
    path = folder / "spec.toml"
    text = path.read_text().replace('role = "lesion"', 'role = "lobes"')
    path.write_text(text.replace("threshold = 0.5", "threshold = 0.5\nmaps = 5"))
    spec = load_spec(folder)
    assert (spec.role, spec.maps, spec.output_planes) == ("lobes", 5, 5 * spec.planes)
    assert spec.contract.endswith(", 5 maps")
    path.write_text(text.replace("threshold = 0.5", "threshold = 0.5\nmaps = 0"))
    with pytest.raises(ModelError, match="maps must be 1"):
        load_spec(folder)
