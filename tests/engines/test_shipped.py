"""The models that ship: whole, sealed, measured, and described alike in every file."""

from __future__ import annotations

import re

import numpy as np
import onnxruntime
import pytest

from engines.card import BEGIN
from engines.fissures import follow_fissures
from engines.models import SHIPPED, ModelSpec, load_repository
from engines.parts import LOBE_NAMES
from engines.runtimes import choose
from engines.segmenter import Segmenter

SPECS = load_repository()


def test_lung_and_lesion_ship_for_every_section() -> None:
    Segmenter(SPECS, choose())
    sections = {section for spec in SPECS if spec.role == "lesion" for section in spec.sections}
    assert sections == {"thin", "medium", "thick"}


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_a_shipped_model_is_sealed_and_measured(spec: ModelSpec) -> None:
    for artefact in spec.artefacts:
        artefact.verify()
        artefact.check_gate(spec.artefact("fp32").sha256, spec.contract)
        assert artefact.path.stat().st_size < 20e6
    assert spec.warm_up is not None, "run python -m engines.training.seal"
    assert spec.accuracy["dice_mean"] >= {"lung": 0.96, "lesion": 0.75, "lobes": 0.93}[spec.role]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_the_card_names_data_terms_figures_and_failures(spec: ModelSpec) -> None:
    card = (SHIPPED / spec.name / "MODEL_CARD.md").read_text(encoding="utf-8")
    for heading in ("## Data", "## Figures", "## Known failures"):
        assert heading in card
    assert f"{spec.accuracy['dice_mean']:.3f}" in card
    assert "terms" in card.lower()
    gated = any(artefact.gate for artefact in spec.artefacts)
    assert (BEGIN in card) == gated, "the card shows a gate's figures where one judged, only there"


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_triton_is_told_the_same(spec: ModelSpec) -> None:
    text = (SHIPPED / spec.name / "config.pbtxt").read_text(encoding="utf-8")
    assert f'name: "{spec.name}"' in text
    dims = [
        [int(number) for number in re.findall(r"\d+", found)]
        for found in re.findall(r"dims:\s*\[([^\]]*)\]", text)
    ]
    assert dims == [[spec.planes, *spec.size], [spec.output_planes, *spec.size]]
    for name in (spec.input_name, spec.output_name):
        assert f'name: "{name}"' in text


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_the_network_takes_and_gives_what_its_spec_says(spec: ModelSpec) -> None:
    network = onnxruntime.InferenceSession(str(spec.artefact("fp32").path))
    (given,), (got,) = network.get_inputs(), network.get_outputs()
    assert (given.name, given.type) == (spec.input_name, "tensor(float)")
    assert given.shape[1:] == [spec.planes, *spec.size]
    assert isinstance(given.shape[0], str), "the batch must be dynamic"
    assert got.name == spec.output_name


@pytest.mark.parametrize(
    "spec", [spec for spec in SPECS if spec.role != "lobes"], ids=lambda spec: spec.name
)
@pytest.mark.parametrize("level", [0.0, 0.22], ids=["padding", "air"])
def test_an_empty_frame_holds_nothing(spec: ModelSpec, level: float) -> None:
    network = onnxruntime.InferenceSession(str(spec.artefact("fp32").path))
    planes = np.full((1, spec.planes, *spec.size), level, np.float32)
    (probability,) = network.run(None, {spec.input_name: planes})
    assert probability.shape == (1, spec.output_planes, *spec.size)
    assert (probability >= spec.threshold).mean() < 0.001


def test_lobes_share_every_voxel_of_lung() -> None:
    (spec,) = (spec for spec in SPECS if spec.role == "lobes")
    network = onnxruntime.InferenceSession(str(spec.artefact("fp32").path))
    planes = np.full((1, spec.planes, *spec.size), 0.3, np.float32)
    (probability,) = network.run(None, {spec.input_name: planes})
    lobes = probability.reshape(spec.maps, spec.planes, *spec.size)
    assert (lobes.sum(axis=0) < 1 + 1e-4).all()
    lobes = follow_fissures(lobes, planes[0] > 0)
    np.testing.assert_allclose(lobes.sum(axis=0), 1, atol=1e-4)
    assert set(np.unique(lobes.argmax(axis=0))) == set(range(len(LOBE_NAMES)))
