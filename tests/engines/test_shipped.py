"""The models that ship: whole, sealed, measured, and described alike in every file."""

from __future__ import annotations

import re

import pytest

from engines.models import SHIPPED, ModelSpec, load_repository
from engines.runtimes import choose
from engines.segmenter import Segmenter

SPECS = load_repository()


def test_both_roles_ship_for_every_section() -> None:
    Segmenter(SPECS, choose())
    sections = {section for spec in SPECS if spec.role == "lesion" for section in spec.sections}
    assert sections == {"thin", "medium", "thick"}


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_a_shipped_model_is_sealed_and_measured(spec: ModelSpec) -> None:
    for artefact in spec.artefacts:
        artefact.verify()
        assert artefact.path.stat().st_size < 20e6
    assert spec.warm_up is not None, "run python -m engines.training.seal"
    assert spec.accuracy["dice_mean"] > 0.7


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_the_card_names_data_terms_figures_and_failures(spec: ModelSpec) -> None:
    card = (SHIPPED / spec.name / "MODEL_CARD.md").read_text(encoding="utf-8")
    for heading in ("## Data", "## Figures", "## Known failures"):
        assert heading in card
    assert f"{spec.accuracy['dice_mean']:.2f}" in card
    assert "terms" in card.lower()


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_triton_is_told_the_same(spec: ModelSpec) -> None:
    text = (SHIPPED / spec.name / "config.pbtxt").read_text(encoding="utf-8")
    assert f'name: "{spec.name}"' in text
    dims = [
        [int(number) for number in re.findall(r"\d+", found)]
        for found in re.findall(r"dims:\s*\[([^\]]*)\]", text)
    ]
    assert dims == [[spec.planes, *spec.size], [1, *spec.size]]
    for name in (spec.input_name, spec.output_name):
        assert f'name: "{name}"' in text
