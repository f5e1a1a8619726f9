"""A model repository of two tiny networks, real ONNX, for tests of everything around models.

`lung` calls everything below about -300 HU lung; `lesion` calls it lesion where
the mean of its three planes lies above about -650 HU.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE = 64
WINDOW = (-1350.0, 250.0)


def write_tiny_repository(folder: Path) -> Path:
    """Write both models and return the folder."""
    _write(folder / "lung", "lung", planes=1, slope=-40.0, level=_windowed(-300.0))
    _write(folder / "lesion", "lesion", planes=3, slope=40.0, level=_windowed(-650.0))
    return folder


def _windowed(hu: float) -> float:
    return (hu - WINDOW[0]) / (WINDOW[1] - WINDOW[0])


def _write(folder: Path, role: str, planes: int, slope: float, level: float) -> None:
    (folder / "1").mkdir(parents=True)
    path = folder / "1" / "model.onnx"
    onnx.save(_network(planes, slope, level), path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / "spec.toml").write_text(
        f"""
name = "{role}"
version = 1
role = "{role}"
sections = ["thin", "medium", "thick"]
[input]
name = "planes"
planes = {planes}
neighbour_mm = {3.0 if planes > 1 else 0.0}
size = [{SIZE}, {SIZE}]
window_hu = [{WINDOW[0]}, {WINDOW[1]}]
[output]
name = "probability"
threshold = 0.5
[[artefact]]
precision = "fp32"
file = "1/model.onnx"
sha256 = "{sha256}"
"""
    )


def _network(planes: int, slope: float, level: float) -> onnx.ModelProto:
    """sigmoid(slope * (mean of the planes - level)), as one 1 x 1 convolution."""
    weight = np.full((1, planes, 1, 1), slope / planes, np.float32)
    bias = np.array([-slope * level], np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["planes", "weight", "bias"], ["logit"]),
            helper.make_node("Sigmoid", ["logit"], ["probability"]),
        ],
        "tiny",
        [helper.make_tensor_value_info("planes", TensorProto.FLOAT, ["N", planes, SIZE, SIZE])],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["N", 1, SIZE, SIZE])],
        [
            numpy_helper.from_array(weight, "weight"),
            numpy_helper.from_array(bias, "bias"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
