from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from engines.models import SHIPPED, ModelSpec, load_spec
from engines.training.restore import RestoreError, restore, settle
from tests.tiny_models import write_tiny_repository


def answer_of_file(spec: ModelSpec, planes: torch.Tensor) -> np.ndarray:
    session = onnxruntime.InferenceSession(
        spec.artefact("fp32").path, providers=["CPUExecutionProvider"]
    )
    (answer,) = session.run(None, {spec.input_name: planes.numpy()})
    return answer


def answer(network: torch.nn.Module, planes: torch.Tensor) -> np.ndarray:
    with torch.no_grad():
        return torch.sigmoid(network(planes)).numpy()[:, :1]


@pytest.mark.parametrize("name", ["lung", "lesion"])
def test_a_shipped_model_answers_as_its_file(name: str) -> None:
    spec = load_spec(SHIPPED / name)
    restored = restore(spec)
    assert restored.plan.role == name
    planes = torch.rand(1, spec.planes, 256, 256, generator=torch.Generator().manual_seed(1))
    assert np.abs(answer(restored.network, planes) - answer_of_file(spec, planes)).max() < 1e-4


def test_settled_norms_change_no_answer_and_know_what_they_see() -> None:
    spec = load_spec(SHIPPED / "lung")
    network = restore(spec).network
    planes = torch.rand(4, 1, 256, 256, generator=torch.Generator().manual_seed(2))
    before = answer(network, planes)
    settle(network, [planes])
    assert np.abs(answer(network, planes) - before).max() < 1e-4
    network.train()
    assert np.abs(answer(network, planes) - before).max() < 1e-2


def test_unsettled_norms_would_change_what_a_network_in_training_answers() -> None:
    spec = load_spec(SHIPPED / "lung")
    network = restore(spec).network
    planes = torch.rand(4, 1, 256, 256, generator=torch.Generator().manual_seed(2))
    before = answer(network, planes)
    network.train()
    assert np.abs(answer(network, planes) - before).max() > 1e-2


def test_an_unknown_network_is_named(tmp_path: Path) -> None:
    repository = write_tiny_repository(tmp_path)
    with pytest.raises(RestoreError, match="lesion is none of the networks"):
        restore(load_spec(repository / "lesion"))
