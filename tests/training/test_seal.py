from __future__ import annotations

from pathlib import Path

import pytest

from engines.models import ModelError, load_repository, load_spec
from engines.runtimes import choose
from engines.segmenter import Segmenter
from tests.tiny_models import write_tiny_repository

seal = pytest.importorskip("engines.training.seal").seal


def test_a_sealed_model_is_served_and_sealing_again_changes_nothing(tmp_path: Path) -> None:
    write_tiny_repository(tmp_path)
    for folder in (tmp_path / "lung", tmp_path / "lesion"):
        seal(folder)
        first = (folder / "spec.toml").read_text()
        seal(folder)
        assert (folder / "spec.toml").read_text() == first
        warm_up = load_spec(folder).warm_up
        assert warm_up is not None
        assert 0.9 < warm_up.maximum <= 1.0
    Segmenter(load_repository(tmp_path), choose("openvino"))


def test_sealing_records_a_changed_file(tmp_path: Path) -> None:
    write_tiny_repository(tmp_path)
    lung = tmp_path / "lung"
    text = (lung / "spec.toml").read_text()
    stale = load_spec(lung).artefacts[0].sha256
    (lung / "spec.toml").write_text(text.replace(stale, "0" * 64))
    with pytest.raises(ModelError, match="SHA-256"):
        load_spec(lung).artefacts[0].verify()
    seal(lung)
    load_spec(lung).artefacts[0].verify()
