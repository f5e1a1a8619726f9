"""The shipped models: the layout Triton reads, the size and what they say of themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from engines.models import SHIPPED, load_spec

_MODELS = [SHIPPED / "lung", SHIPPED / "lesion"]


@pytest.mark.parametrize("folder", _MODELS, ids=lambda folder: folder.name)
class TestShipped:
    def test_the_artefact_is_the_recorded_one_and_small(self, folder: Path) -> None:
        artefact = load_spec(folder).artefact("fp32")
        artefact.verify()
        assert artefact.path.stat().st_size < 10e6

    def test_takes_and_gives_what_the_configuration_says(self, folder: Path) -> None:
        spec = load_spec(folder)
        session = onnxruntime.InferenceSession(str(spec.artefact("fp32").path))
        (given,), (got,) = session.get_inputs(), session.get_outputs()
        assert (given.name, given.type) == ("planes", "tensor(float)")
        assert given.shape[1:] == [spec.planes, 256, 256]
        assert isinstance(given.shape[0], str)
        assert got.name == "probability"
        text = (folder / "config.pbtxt").read_text()
        assert f'name: "{spec.name}"' in text
        assert f"dims: [ {spec.planes}, 256, 256 ]" in text

    def test_an_empty_frame_holds_nothing(self, folder: Path) -> None:
        spec = load_spec(folder)
        session = onnxruntime.InferenceSession(str(spec.artefact("fp32").path))
        for value in (0.0, 0.22):  # padding, air
            planes = np.full((1, spec.planes, 256, 256), value, np.float32)
            (probability,) = session.run(None, {"planes": planes})
            assert probability.shape == (1, 1, 256, 256)
            assert (probability > spec.threshold).mean() < 0.001

    def test_reaches_what_was_asked_on_patients_left_out(self, folder: Path) -> None:
        asked = {"lung": 0.96, "lesion": 0.75}
        assert load_spec(folder).accuracy["dice_mean"] >= asked[folder.name]

    def test_has_a_card_with_data_figures_and_failures(self, folder: Path) -> None:
        card = (folder / "MODEL_CARD.md").read_text()
        for heading in ("## Data", "## Figures", "## Known failures"):
            assert heading in card
