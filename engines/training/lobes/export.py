"""``python -m engines.training.lobes.export``: a trained lobes network as a model."""

from __future__ import annotations

import argparse
import hashlib
import json
import warnings
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from engines.card import remove_gate_part
from engines.training.lobes.fissures import trained_fissures
from engines.training.lobes.loop import trained_lobes
from engines.training.lobes.scans import SHAPE
from engines.training.models import WINDOW_HU
from engines.training.seal import seal

_OPSET = 17
_MAPS = 5
#: Of the voxels, about: the box around the lungs is stretched to the region's shape.
_VOXEL_MM = 3.0


class _Probabilities(nn.Module):  # type: ignore[misc]
    """Probabilities of the lobes, the planes of the first lobe first.

    With a network that sees fissures, what they lack to one is the probability of a
    fissure: see :mod:`engines.fissures`.
    """

    def __init__(self, network: nn.Module, fissures: nn.Module | None) -> None:
        super().__init__()
        self.network, self.fissures = network, fissures

    def forward(self, planes: Tensor) -> Tensor:
        lobes = torch.softmax(self.network(planes), dim=1)
        if self.fissures is not None:
            lobes = lobes * torch.sigmoid(-self.fissures(planes))[:, None]
        return lobes.flatten(1, 2)


def export(run: Path, model: Path, version: int = 1, fissures: Path | None = None) -> None:
    """Write ``<version>/model.onnx``, ``config.pbtxt`` and ``spec.toml`` of a run, and seal it.

    Figures come from ``accuracy.json`` beside the checkpoint, if any.

    Parameters
    ----------
    run
        Folder of a lobes run.
    model
        Folder of the model.
    version
        Of the model.
    fissures
        Folder of a run of :mod:`engines.training.lobes.fissures`, if any.
    """
    artefact = model / str(version) / "model.onnx"
    artefact.parent.mkdir(parents=True, exist_ok=True)
    seen = None if fissures is None else trained_fissures(fissures)
    with warnings.catch_warnings():
        # See engines.training.export: this exporter's graph is the smaller one.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Probabilities(trained_lobes(run), seen).eval(),
            (torch.zeros(1, *SHAPE),),
            str(artefact),
            input_names=["planes"],
            output_names=["probability"],
            dynamic_axes={"planes": {0: "n"}, "probability": {0: "n"}},
            opset_version=_OPSET,
            dynamo=False,
        )
    onnx.checker.check_model(str(artefact), full_check=True)
    figures = run / "accuracy.json"
    accuracy = json.loads(figures.read_text()) if figures.is_file() else {}
    (model / "config.pbtxt").write_text(_config(model.name))
    (model / "spec.toml").write_text(_spec(model.name, version, artefact, accuracy))
    seal(model)
    for stale in (*artefact.parent.glob("model.int8.*.onnx"), artefact.parent / "ranges.json"):
        stale.unlink(missing_ok=True)
    remove_gate_part(model)


def _config(name: str) -> str:
    planes, rows, columns = SHAPE
    return f"""name: "{name}"
platform: "onnxruntime_onnx"
max_batch_size: 1
input [
  {{
    name: "planes"
    data_type: TYPE_FP32
    dims: [ {planes}, {rows}, {columns} ]
  }}
]
output [
  {{
    name: "probability"
    data_type: TYPE_FP32
    dims: [ {_MAPS * planes}, {rows}, {columns} ]
  }}
]
"""


def _spec(name: str, version: int, artefact: Path, accuracy: dict[str, float]) -> str:
    digest = hashlib.sha256(artefact.read_bytes()).hexdigest()
    figures = "".join(f"{key} = {value}\n" for key, value in accuracy.items())
    planes, rows, columns = SHAPE
    low, high = WINDOW_HU
    return f"""name = "{name}"
version = {version}
role = "lobes"
sections = ["thin", "medium", "thick"]

[input]
name = "planes"
form = "block"
overlap = 0
planes = {planes}
neighbour_mm = {_VOXEL_MM}
size = [{rows}, {columns}]
window_hu = [{low}, {high}]

[output]
name = "probability"
maps = {_MAPS}
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
    parser = argparse.ArgumentParser(
        prog="python -m engines.training.lobes.export", description=__doc__
    )
    parser.add_argument("run", type=Path, help="folder of the training run")
    parser.add_argument("--out", type=Path, required=True, help="folder of the model")
    parser.add_argument("--version", type=int, default=1)
    parser.add_argument("--fissures", type=Path, help="folder of a run that learnt fissures")
    given = parser.parse_args(arguments)
    export(given.run, given.out, given.version, given.fissures)


if __name__ == "__main__":
    main()
