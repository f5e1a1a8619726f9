"""Writing Q/DQ ONNX from a table of ranges, in the dialect of a runtime.

"openvino": uint8 activations over the whole range; both sides of a residual
addition are quantised, which OpenVINO needs to add within the convolution.
"tensorrt": int8 activations, symmetric about zero point 0, as TensorRT wants
them; Q/DQ also after each layer that passes tensors on, so that none of them has
to be moved for fusing, and of an addition only on the shortcut. Weights
are int8, symmetric, one scale an output channel; biases stay fp32.
"""

from __future__ import annotations

import copy

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from calibration.quantisation.graph import Network
from calibration.quantisation.ranges import Range, RangeTable
from engines.artefacts import DIALECTS

_SMALLEST_SCALE = 1e-9


def write_qdq(network: Network, table: RangeTable, dialect: str) -> onnx.ModelProto:
    """The network in INT8.

    Parameters
    ----------
    network
        In fp32.
    table
        Its ranges, and the layers it keeps.
    dialect
        One of :data:`engines.artefacts.DIALECTS`.

    Raises
    ------
    ValueError
        When the dialect is unknown.
    ModelError
        When the table is that of another network.
    """
    if dialect not in DIALECTS:
        raise ValueError(f"there is no dialect {dialect!r}, only {', '.join(DIALECTS)}")
    return _Writer(network, table, dialect).model()


class _Writer:
    def __init__(self, network: Network, table: RangeTable, dialect: str) -> None:
        self._network, self._table, self._dialect = network, table, dialect
        self._sites = network.sites(table.kept)
        self._quantised = set(network.convolutions) - set(table.kept)
        self._model = copy.deepcopy(network.model)
        self._tensors: list[onnx.TensorProto] = []

    def model(self) -> onnx.ModelProto:
        graph = self._model.graph
        carried = self._carried()
        members = {name for group in self._sites.groups for name in group}
        nodes = [new for given in graph.input for new in self._pair(given.name, carried)]
        for node in graph.node:
            new = self._rewired(node, carried, members)
            nodes += [*self._weight_nodes(new), new]
            nodes += [pair for out in node.output for pair in self._pair(out, carried)]
        used = {name for node in nodes for name in node.input}
        tensors = [tensor for tensor in graph.initializer if tensor.name in used]
        del graph.node[:], graph.initializer[:]
        graph.node.extend(nodes)
        graph.initializer.extend([*tensors, *self._tensors])
        onnx.checker.check_model(self._model)
        return self._model

    def _carried(self) -> dict[str, Range]:
        """The tensors that carry Q/DQ, with the range their group shares."""
        carried = {
            name: self._table.shared([name])
            for node in self._network.model.graph.node
            for name in self._summands(node)
        }
        return carried | {
            name: self._table.shared(group)
            for group in self._sites.groups
            for name in group
            if self._dialect == "tensorrt" or name in self._sites.sources
        }

    def _summands(self, node: onnx.NodeProto) -> list[str]:
        """The inputs of an addition that are quantised; none of other nodes."""
        shortcut = None
        if node.op_type == "Add":
            shortcut = self._network.shortcut(node, self._quantised)
        if shortcut is None:
            return []
        rounded = self._quantised if self._dialect == "openvino" else ()
        return [
            name
            for name in node.input
            if name == shortcut or self._network.is_made_by(name, rounded)
        ]

    def _pair(self, name: str, carried: dict[str, Range]) -> list[onnx.NodeProto]:
        """Q and DQ after one tensor, if it carries them."""
        if name not in carried:
            return []
        scale, zero = _activation_grid(carried[name], self._dialect)
        self._keep(f"{name}:scale", scale)
        self._keep(f"{name}:zero", zero)
        grid = [f"{name}:scale", f"{name}:zero"]
        quantised, back = f"{name}:quantised", f"{name}:dequantised"
        return [
            helper.make_node("QuantizeLinear", [name, *grid], [quantised], f"{name}:Q"),
            helper.make_node("DequantizeLinear", [quantised, *grid], [back], f"{name}:DQ"),
        ]

    def _rewired(
        self, node: onnx.NodeProto, carried: dict[str, Range], members: set[str]
    ) -> onnx.NodeProto:
        """The node reading what was dequantised, where it is one that works in INT8."""
        new = onnx.NodeProto()
        new.CopyFrom(node)
        int8 = node.name in self._quantised or any(out in members for out in node.output)
        if int8 and node.op_type != "Add":
            new.input[:] = [
                f"{name}:dequantised" if name in carried else name for name in new.input
            ]
        elif summands := self._summands(node):
            new.input[:] = [
                f"{name}:dequantised" if name in summands else name for name in node.input
            ]
        return new

    def _weight_nodes(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """DQ of the weights of a quantised convolution, which then reads it."""
        if node.name not in self._quantised:
            return []
        name = f"{node.name}:weight"
        values, scale = _quantised_weight(
            numpy_helper.to_array(self._network.weights[node.input[1]])
        )
        self._keep(name, values)
        self._keep(f"{name}:scale", scale)
        self._keep(f"{name}:zero", np.zeros(len(scale), np.int8))
        node.input[1] = f"{name}:dequantised"
        given = [name, f"{name}:scale", f"{name}:zero"]
        return [helper.make_node("DequantizeLinear", given, [node.input[1]], f"{name}:DQ", axis=0)]

    def _keep(self, name: str, values: npt.NDArray[np.generic]) -> None:
        self._tensors.append(numpy_helper.from_array(values, name))


def _activation_grid(
    limits: Range, dialect: str
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.generic]]:
    """Scale and zero point of a tensor, both scalars."""
    if dialect == "tensorrt":
        scale = max(limits.magnitude / 127, _SMALLEST_SCALE)
        return np.array(scale, np.float32), np.array(0, np.int8)
    scale = max((limits.high - limits.low) / 255, _SMALLEST_SCALE)
    zero = np.clip(np.rint(-limits.low / scale), 0, 255)
    return np.array(scale, np.float32), np.array(zero, np.uint8)


def _quantised_weight(
    weight: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Weights in -127 .. 127 and the scale of each output channel."""
    largest = np.abs(weight).reshape(len(weight), -1).max(axis=1)
    scale = np.maximum(largest / 127, _SMALLEST_SCALE).astype(np.float32)
    steps = weight / scale.reshape(-1, *[1] * (weight.ndim - 1))
    return np.clip(np.rint(steps), -127, 127).astype(np.int8), scale
