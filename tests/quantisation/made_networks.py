"""Small networks of the shipped models' layers, real ONNX: flat on slices, solid on blocks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE = 32
PLANES = {"flat": 3, "solid": 4}
CHANNELS = 16


def made_network(form: str) -> onnx.ModelProto:
    """Stem, residual block, max pooling, resize, concatenation, head and sigmoid.

    "flat" convolves rows and columns of 3 planes; "solid" convolves all of 4 planes.
    """
    return _Builder(form).model()


def made_slabs(form: str, number: int = 4) -> list[npt.NDArray[np.float32]]:
    """Smooth noise in 0 .. 1, shape (planes, rows, columns)."""
    rng = np.random.default_rng(3)
    coarse = rng.random((number, PLANES[form], SIZE // 4, SIZE // 4), np.float32)
    return list(coarse.repeat(4, axis=2).repeat(4, axis=3))


class _Builder:
    def __init__(self, form: str) -> None:
        self._rng = np.random.default_rng(7)
        self._axes = 2 if form == "flat" else 3
        self._planes = PLANES[form]
        self._nodes: list[onnx.NodeProto] = []
        self._tensors: list[onnx.TensorProto] = []

    def model(self) -> onnx.ModelProto:
        image, channels = "planes", self._planes
        if self._axes == 3:
            self._keep("one", np.array([1], np.int64))
            image, channels = self._add("Unsqueeze", ["planes", "one"], "block"), 1
        stem = self._conv("stem", image, channels)
        inner = self._conv("inner", stem, CHANNELS, relu=False)
        joined = self._add("Relu", [self._add("Add", [inner, stem], "sum")], "joined")
        window = {"kernel_shape": [2] * self._axes, "strides": [2] * self._axes}
        pooled = self._conv("deep", self._add("MaxPool", [joined], "pooled", **window), CHANNELS)
        self._keep("scales", np.array([1, 1, *[2] * self._axes], np.float32))
        nearest = {"mode": "nearest", "nearest_mode": "floor"}
        nearest["coordinate_transformation_mode"] = "asymmetric"
        wide = self._add("Resize", [pooled, "", "scales"], "wide", **nearest)
        both = self._add("Concat", [wide, joined], "both", axis=1)
        logit = self._conv("head", both, 2 * CHANNELS, outputs=1, relu=False)
        if self._axes == 3:
            logit = self._add("Squeeze", [logit, "one"], "logits")
        self._nodes.append(helper.make_node("Sigmoid", [logit], ["probability"]))
        outputs = 1 if self._axes == 2 else self._planes
        graph = helper.make_graph(
            self._nodes,
            "made",
            [_value("planes", self._planes)],
            [_value("probability", outputs)],
            self._tensors,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

    def _conv(
        self, name: str, given: str, inputs: int, outputs: int = CHANNELS, relu: bool = True
    ) -> str:
        shape = (outputs, inputs, *[3] * self._axes)
        weight = self._rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape).astype(np.float32)
        self._keep(f"{name}.w", weight)
        self._keep(f"{name}.b", self._rng.normal(0, 0.1, outputs).astype(np.float32))
        made = self._add("Conv", [given, f"{name}.w", f"{name}.b"], name, pads=[1] * 2 * self._axes)
        return self._add("Relu", [made], f"{name}.relu") if relu else made

    def _add(self, kind: str, given: list[str], name: str, **attributes: object) -> str:
        self._nodes.append(helper.make_node(kind, given, [f"{name}:0"], name, **attributes))
        return f"{name}:0"

    def _keep(self, name: str, values: npt.NDArray[np.generic]) -> None:
        self._tensors.append(numpy_helper.from_array(values, name))


def _value(name: str, planes: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", planes, SIZE, SIZE])
