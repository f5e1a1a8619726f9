"""The versions that a model's folder holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.models import ModelError, load_spec
from engines.versions import MissingVersionError, load_version, versions
from tests.tiny_models import add_lesion_version, describe_lesion_version, write_tiny_repository


@pytest.fixture
def lesion(tmp_path: Path) -> Path:
    repository = write_tiny_repository(tmp_path)
    for version in (2, 10):
        add_lesion_version(repository, version, -500.0)
    return repository / "lesion"


def test_each_version_has_its_own_files(lesion: Path) -> None:
    assert versions(lesion) == [1, 2, 10]
    for version in versions(lesion):
        spec = load_version(lesion, version)
        assert spec.version == version
        spec.artefact("fp32").verify()
        assert spec.artefact("fp32").path == lesion / str(version) / "model.onnx"


def test_the_one_that_is_described_need_not_lie_there_twice(lesion: Path) -> None:
    (lesion / "1" / "spec.toml").unlink()
    assert versions(lesion) == [1, 2, 10]
    assert load_version(lesion, 1) == load_spec(lesion)
    describe_lesion_version(lesion.parent, 2)
    assert versions(lesion) == [2, 10]


def test_one_that_is_not_there_is_told_with_those_that_are(lesion: Path) -> None:
    with pytest.raises(MissingVersionError, match="no version 3; there are 1, 2, 10"):
        load_version(lesion, 3)
    with pytest.raises(ModelError, match=r"spec\.toml"):
        versions(lesion.parent / "none")


def test_one_that_calls_itself_another_is_refused(lesion: Path) -> None:
    (lesion / "2" / "spec.toml").write_text((lesion / "10" / "spec.toml").read_text())
    with pytest.raises(ModelError, match=r"2/spec.toml: it describes version 10"):
        load_version(lesion, 2)
