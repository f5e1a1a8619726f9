"""What a network costs, read off its ONNX file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engines.models import ModelSpec

if TYPE_CHECKING:
    import openvino


@dataclass(frozen=True, slots=True)
class Cost:
    """Parameters of a network, and multiply-accumulates per slice.

    Those of its convolutions, each of which has a bias: batch norm is folded into them.
    """

    parameters: int
    macs: float


def cost(spec: ModelSpec) -> Cost:
    """The cost of a model's fp32 file.

    A block of a 3-D network is shared by the planes that it does not have in common
    with the next; slices lie as far apart as these.
    """
    import openvino

    model = openvino.Core().read_model(spec.artefact("fp32").path)
    model.reshape([1, spec.planes, *spec.size])
    layers = [_cost(node) for node in model.get_ops() if node.get_type_name() == "Convolution"]
    macs = sum(layer.macs for layer in layers) / (spec.output_planes - spec.overlap)
    return Cost(sum(layer.parameters for layer in layers), macs)


def _cost(node: openvino.Node) -> Cost:
    """Of one convolution: each number that it answers is a sum over one kernel."""
    channels, *kernel = node.input_value(1).get_shape()
    each = math.prod(kernel)
    return Cost(channels * (each + 1), math.prod(node.get_output_shape(0)) * each)
