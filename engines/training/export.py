"""``python -m engines.training.export``: a trained network as a model of the repository."""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
import warnings
from dataclasses import replace
from pathlib import Path

import onnx
import torch
from torch import nn

from engines.card import remove_gate_part
from engines.training.models import SIZE, WINDOW_HU, ModelPlan
from engines.training.seal import seal
from engines.training.state import load_recipe, trained_network

_OPSET = 17
_MAX_BATCH = 16


def export(
    run: Path, model: Path, version: int = 1, sections: tuple[str, ...] | None = None
) -> None:
    """Write ``<version>/model.onnx``, ``config.pbtxt`` and ``spec.toml`` of a run, and seal it.

    Parameters
    ----------
    run
        Folder of the training run.
    model
        Folder of the model in a Triton model repository; its name is the model's.
    version
        Of the model.
    sections
        What it serves; by default what its plan says.
    """
    plan = load_recipe(run).plan
    if sections:
        plan = replace(plan, sections=sections)
    artefact = model / str(version) / "model.onnx"
    artefact.parent.mkdir(parents=True, exist_ok=True)
    _write_onnx(trained_network(run), plan, artefact)
    (model / "config.pbtxt").write_text(_config(model.name, plan))
    (model / "spec.toml").write_text(_spec(model.name, version, plan, artefact, _accuracy(run)))
    seal(model)
    _remove_int8(artefact.parent)
    remove_gate_part(model)


def _remove_int8(version: Path) -> None:
    """What was calibrated from other weights."""
    for stale in (*version.glob("model.int8.*.onnx"), version / "ranges.json"):
        stale.unlink(missing_ok=True)


class _WithSigmoid(nn.Module):  # type: ignore[misc]
    """The first of a network's maps as a probability; those that only helped to learn are gone."""

    def __init__(self, network: nn.Module, maps: int) -> None:
        super().__init__()
        self.network = copy.deepcopy(network)
        head = self.network.head
        first = len(head.weight) // maps
        head.weight = nn.Parameter(head.weight[:first])
        head.bias = nn.Parameter(head.bias[:first])

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.network(planes))


def _write_onnx(network: nn.Module, plan: ModelPlan, path: Path) -> None:
    """Batch norm is folded by the exporter; the batch stays dynamic."""
    example = torch.zeros(1, plan.planes, SIZE, SIZE)
    with warnings.catch_warnings():
        # The TorchScript exporter is deprecated; its graph is the smaller one and has no
        # weights in a second file.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            _WithSigmoid(network, plan.maps).eval(),
            (example,),
            str(path),
            input_names=["planes"],
            output_names=["probability"],
            dynamic_axes={"planes": {0: "n"}, "probability": {0: "n"}},
            opset_version=_OPSET,
            dynamo=False,
        )
    onnx.checker.check_model(str(path), full_check=True)


def _accuracy(run: Path) -> dict[str, float]:
    """Figures on patients left out, from ``accuracy.json`` beside the checkpoint, if any."""
    path = run / "accuracy.json"
    if not path.is_file():
        return {}
    return {key: round(float(value), 4) for key, value in json.loads(path.read_text()).items()}


def _config(name: str, plan: ModelPlan) -> str:
    return f"""name: "{name}"
platform: "onnxruntime_onnx"
max_batch_size: {_MAX_BATCH}
input [
  {{
    name: "planes"
    data_type: TYPE_FP32
    dims: [ {plan.planes}, {SIZE}, {SIZE} ]
  }}
]
output [
  {{
    name: "probability"
    data_type: TYPE_FP32
    dims: [ {plan.planes if plan.is_block else 1}, {SIZE}, {SIZE} ]
  }}
]
"""


def _spec(
    name: str, version: int, plan: ModelPlan, artefact: Path, accuracy: dict[str, float]
) -> str:
    digest = hashlib.sha256(artefact.read_bytes()).hexdigest()
    figures = "".join(f"{key} = {value}\n" for key, value in accuracy.items())
    low, high = WINDOW_HU
    sections = ", ".join(f'"{section}"' for section in plan.sections)
    form = f'form = "block"\noverlap = {plan.overlap}\n' if plan.is_block else ""
    return f"""name = "{name}"
version = {version}
role = "{plan.role}"
sections = [{sections}]

[input]
name = "planes"
{form}planes = {plan.planes}
neighbour_mm = {plan.neighbour_mm}
size = [{SIZE}, {SIZE}]
window_hu = [{low}, {high}]

[output]
name = "probability"
threshold = 0.5

[accuracy]
{figures}
[[artefact]]
precision = "fp32"
file = "{version}/model.onnx"
sha256 = "{digest}"
"""


def main(arguments: list[str] | None = None) -> None:
    """Export as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m engines.training.export", description=__doc__)
    parser.add_argument("run", type=Path, help="folder of the training run")
    parser.add_argument("--out", type=Path, required=True, help="folder of the model")
    parser.add_argument("--version", type=int, default=1)
    parser.add_argument("--sections", help="sections to serve, comma-separated")
    given = parser.parse_args(arguments)
    sections = tuple(given.sections.split(",")) if given.sections else None
    export(given.run, given.out, given.version, sections)


if __name__ == "__main__":
    main()
