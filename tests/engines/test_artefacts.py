"""Reduced precision is served only with a passed gate of the very file."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engines.artefacts import sha256_of
from engines.models import ModelError, load_repository, load_spec
from engines.runtimes import choose, choose_artefact
from engines.segmenter import Segmenter
from tests.gated_models import EMPTY_FIELD, with_int8
from tests.tiny_models import write_tiny_repository

seal = pytest.importorskip("engines.training.seal").seal


def test_a_gated_artefact_is_preferred(tmp_path: Path) -> None:
    with_int8(write_tiny_repository(tmp_path))
    segmenter = Segmenter(load_repository(tmp_path), choose("openvino"))
    precisions = {name: one.artefact.precision for name, one in segmenter.engines.items()}
    assert precisions == {"lung": "int8", "lesion": "fp32"}
    mapped = Segmenter(load_repository(tmp_path), choose("openvino"), {"lung": "fp32"})
    assert {one.artefact.precision for one in mapped.engines.values()} == {"fp32"}


def changed_file(folder: Path) -> None:
    path = folder / "1" / "int8.onnx"
    path.write_bytes(path.read_bytes() + EMPTY_FIELD)
    seal(folder)


def changed_reference(folder: Path) -> None:
    path = folder / "1" / "model.onnx"
    path.write_bytes(path.read_bytes() + EMPTY_FIELD)
    seal(folder)


def respecified(old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        text = (folder / "spec.toml").read_text()
        assert old in text
        (folder / "spec.toml").write_text(text.replace(old, new))

    return change


@pytest.mark.parametrize(
    ("gate", "change", "message"),
    [
        ("", None, "has not been through the gate"),
        ("failed", None, "did not pass the gate"),
        ("passed", changed_file, "not the file that passed the gate"),
        ("passed", changed_reference, "compared it with another fp32"),
        ("passed", respecified("threshold = 0.5", "threshold = 0.4"), "now says .*threshold 0.4"),
        ("passed", respecified("planes = 1", "planes = 3"), "now says 3 planes"),
        ("passed", respecified("mm = 0.0", "mm = 3.0"), "now says .*, 3.0 mm"),
        ("passed", respecified("[64, 64]", "[64, 32]"), "now says .*64 x 32"),
        ("passed", respecified("250.0]", "150.0]"), "now says .* to 150.0 HU"),
    ],
    ids=[
        "no record",
        "failed",
        "another file",
        "another fp32",
        "threshold",
        "planes",
        "distance",
        "size",
        "window",
    ],
)
def test_what_is_not_gated_is_refused_and_passed_over_by_default(
    gate: str,
    change: object,
    message: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = with_int8(write_tiny_repository(tmp_path), gate=gate)
    if callable(change):
        change(folder)
    spec = load_spec(folder)
    with pytest.raises(ModelError, match=message):
        choose_artefact(spec, choose("openvino"), "int8")
    with caplog.at_level(logging.WARNING):
        assert choose_artefact(spec, choose("openvino")).precision == "fp32"
    assert re.search(message, caplog.text)
    assert "lung: int8 is not served" in caplog.text


def test_an_artefact_of_another_dialect_is_not_served(tmp_path: Path) -> None:
    folder = with_int8(write_tiny_repository(tmp_path))
    path = folder / "spec.toml"
    path.write_text(path.read_text().replace('dialect = "openvino"', 'dialect = "tensorrt"'))
    with pytest.raises(ModelError, match="no int8 artefact for openvino"):
        choose_artefact(load_spec(folder), choose("openvino"), "int8")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('dialect = "openvino"', 'dialect = "latin"', "dialect must be one of"),
        ('verdict = "passed"', 'verdict = "maybe"', "passed or failed"),
        ('cases = ["one"]', 'cases = "one"', "expected a list"),
        ('runtime = "openvino 1"', "", "field missing or wrong: KeyError"),
    ],
)
def test_a_broken_record_is_named(old: str, new: str, message: str, tmp_path: Path) -> None:
    path = with_int8(write_tiny_repository(tmp_path)) / "spec.toml"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ModelError, match=message):
        load_spec(path.parent)


def test_onnx_runtime_answers_as_openvino_does_but_only_by_name(tmp_path: Path) -> None:
    spec = load_spec(write_tiny_repository(tmp_path) / "lesion")
    slabs = np.random.default_rng(1).random((3, spec.planes, *spec.size), np.float32)
    answers = [
        choose(name).load(spec, spec.artefact("fp32")).run(slabs)
        for name in ("openvino", "onnxruntime")
    ]
    assert answers[0].shape == answers[1].shape
    np.testing.assert_allclose(*answers, atol=1e-4)
    assert choose().name != "onnxruntime"


def test_what_onnx_runtime_cannot_read_is_an_error(tmp_path: Path) -> None:
    folder = write_tiny_repository(tmp_path) / "lung"
    (folder / "1" / "model.onnx").write_bytes(b"no network")
    path = folder / "spec.toml"
    old = load_spec(folder).artefacts[0].sha256
    path.write_text(path.read_text().replace(old, sha256_of(folder / "1" / "model.onnx")))
    spec = load_spec(folder)
    with pytest.raises(ModelError, match="ONNX Runtime cannot load it"):
        choose("onnxruntime").load(spec, spec.artefact("fp32"))
