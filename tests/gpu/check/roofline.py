"""How fast a network could be at best: the larger of operations / peak and bytes / bandwidth.

References
----------
Williams, Waterman and Patterson 2009, "Roofline", CACM 52(4):65.
Peaks: what NVIDIA states of each GPU, without sparsity; those of the H100, H200, A100, T4, L40S
and RTX 4090 were compared with published comparisons of them, to 2 percent.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

_BYTES = {"fp32": 4, "fp16": 2, "int8": 1}
_MULTIPLYING = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})


@dataclass(frozen=True, slots=True)
class Peak:
    """What a GPU can do at most: operations a second by precision, bytes a second."""

    operations: dict[str, float]
    bandwidth: float

    @classmethod
    def of(cls, fp32: float, fp16: float, int8: float, bandwidth: float) -> Peak:
        """In Tera-operations and GB a second."""
        tera = {"fp32": fp32 * 1e12, "fp16": fp16 * 1e12, "int8": int8 * 1e12}
        return cls(tera, bandwidth * 1e9)


#: By words of the GPU's name, which says in which of its forms it is; the longest that fits
#: counts. fp32 is without TF32, as the plans are built; fp16 and int8 are those of the tensor
#: cores, fp16 summed in fp16 where that is faster.
PEAKS = {
    "T4": Peak.of(8.1, 65, 130, 320),
    "A100-SXM4-40GB": Peak.of(19.5, 312, 624, 1555),
    "A100-PCIE-40GB": Peak.of(19.5, 312, 624, 1555),
    "A100-SXM4-80GB": Peak.of(19.5, 312, 624, 2039),
    "L4": Peak.of(30.3, 121, 242, 300),
    "L40S": Peak.of(91.6, 362, 733, 864),
    "RTX 4090": Peak.of(82.6, 330, 661, 1008),
    "H100 PCIe": Peak.of(51, 756, 1513, 2000),
    "H100 80GB HBM3": Peak.of(67, 989, 1979, 3350),
    "H200": Peak.of(67, 989, 1979, 4800),
    "H200 NVL": Peak.of(60, 835, 1671, 4800),
}


def peak_of(name: str) -> Peak | None:
    """The peak of a GPU by its name; None for one that the table does not know."""
    fitting = [known for known in PEAKS if re.search(rf"\b{known}\b", name)]
    return PEAKS[max(fitting, key=len)] if fitting else None


@dataclass(frozen=True, slots=True)
class Work:
    """What one inference asks for.

    Parameters
    ----------
    operations
        A slab: two a multiplication with its addition, of convolutions and matrix products.
    activations
        Numbers a slab that these read and write, each tensor once; all else is fused.
    weights
        Numbers that are read once an inference.
    """

    operations: float
    activations: float
    weights: float

    def bytes(self, precision: str, slabs: int) -> float:
        """Bytes of an inference of so many slabs."""
        return _BYTES[precision] * (self.activations * slabs + self.weights)

    def bound(self, peak: Peak, precision: str, slabs: int) -> float:
        """The least time that an inference of so many slabs takes, s."""
        return max(
            self.operations * slabs / peak.operations[precision],
            self.bytes(precision, slabs) / peak.bandwidth,
        )


def work_of(path: Path) -> Work:
    """The work of a network for one slab, of its fp32 file."""
    model = onnx.load(path)
    weights = {one.name: math.prod(one.dims) for one in model.graph.initializer}
    nodes = [
        node
        for node in model.graph.node
        if node.op_type in _MULTIPLYING and node.input[1] in weights
    ]
    shapes = _shapes(model, {name for node in nodes for name in (node.input[0], node.output[0])})
    operations = activations = held = 0
    for node in nodes:
        source, product, factor = node.input[0], node.output[0], weights[node.input[1]]
        operations += 2 * _products(node.op_type, shapes[source], shapes[product], factor)
        activations += math.prod(shapes[source]) + math.prod(shapes[product])
        held += factor
    return Work(operations, activations, held)


def _products(kind: str, source: Sequence[int], product: Sequence[int], weights: int) -> int:
    """Multiplications: each weight meets each place of the output, or of the input where
    the convolution is transposed."""
    places = source if kind == "ConvTranspose" else product
    if kind in ("Gemm", "MatMul"):
        return math.prod(places[:-1]) * weights
    return math.prod(places[2:]) * places[0] * weights


def _shapes(model: onnx.ModelProto, names: Collection[str]) -> dict[str, tuple[int, ...]]:
    """Of some tensors, for one slab, by running the network once: some shapes are computed."""
    given = model.graph.input[0]
    shape = tuple(one.dim_value or 1 for one in given.type.tensor_type.shape.dim)
    asked = sorted(set(names) - {given.name})
    telling = onnx.ModelProto()
    telling.CopyFrom(model)
    del telling.graph.output[:]
    telling.graph.output.extend(onnx.ValueInfoProto(name=name) for name in asked)
    session = onnxruntime.InferenceSession(
        telling.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    answers = session.run(asked, {given.name: np.zeros(shape, np.float32)})
    found = {name: answer.shape for name, answer in zip(asked, answers, strict=True)}
    return {given.name: shape, **found}
