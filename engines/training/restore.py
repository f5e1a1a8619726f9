"""A trainable network from a shipped ONNX file, which is all that ships of a training run.

The exporter folds each batch norm into the convolution before it. Here the folded
weights go back into the convolution, and the batch norm is set to pass them on; with
the statistics of some inputs (:func:`settle`) it does so in training, too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from engines.models import ModelSpec
from engines.training.models import PLANS, SIZE, ModelPlan

Weights = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]
_CONVOLUTIONS = (nn.Conv2d, nn.Conv3d)
_NORMS = (nn.BatchNorm2d, nn.BatchNorm3d)


class RestoreError(Exception):
    """An ONNX file that is none of the networks that can be trained here."""


@dataclass(frozen=True)
class Restored:
    """What a file turned out to be.

    Parameters
    ----------
    model
        The key of its plan in :data:`engines.training.models.PLANS`.
    plan
        With the width that fits.
    network
        In evaluation mode; answers as the file does, before the sigmoid.
    """

    model: str
    plan: ModelPlan
    network: nn.Module


def restore(spec: ModelSpec) -> Restored:
    """Read the fp32 file of a model back into the network that it was exported from.

    Raises
    ------
    RestoreError
        When no plan with the model's role and planes has a network of these weights.
    """
    weights = _weights(spec.artefact("fp32").path)
    for model, plan in _candidates(spec, len(weights[0][0])):
        network = plan.build().eval()
        convolutions = _in_order(network, plan)
        if _fits(convolutions, weights, plan.maps):
            _fill(network, convolutions, weights)
            return Restored(model, plan, network)
    raise RestoreError(f"{spec.name} is none of the networks that can be trained here")


def settle(network: nn.Module, inputs: Iterable[Tensor]) -> None:
    """Let each batch norm normalise by what it sees, without changing what it answers.

    Parameters
    ----------
    network
        From :func:`restore`.
    inputs
        Batches as in training, shape (n, planes, rows, columns).
    """
    seen: dict[nn.Module, list[Tensor]] = {}
    with _watching(network, _NORMS, lambda norm, given: _note(seen, norm, given)):
        for batch in inputs:
            with torch.no_grad():
                network(batch)
    for norm, moments in seen.items():
        mean, square = torch.stack(moments).mean(dim=0)
        _settle_norm(norm, mean, (square - mean**2).clamp_min(0.0))


def _candidates(spec: ModelSpec, first_channels: int) -> Iterator[tuple[str, ModelPlan]]:
    """Plans that see what the model sees, in their own width and in those the file hints at."""
    for model, plan in PLANS.items():
        same = (plan.role, plan.planes, plan.is_block) == (
            spec.role,
            spec.planes,
            spec.form == "block",
        )
        if same:
            for width in dict.fromkeys((plan.width, first_channels, 2 * first_channels)):
                yield model, replace(plan, width=width)


def _weights(path: Path) -> list[Weights]:
    """Kernel and bias of each convolution, in the order in which they run."""
    graph = onnx.load(str(path)).graph
    arrays = {one.name: one for one in graph.initializer}
    found = []
    for node in graph.node:
        if node.op_type == "Conv":
            kernel = numpy_helper.to_array(arrays[node.input[1]]).astype(np.float32)
            bias = np.zeros(len(kernel), np.float32)
            if len(node.input) > 2:
                bias = numpy_helper.to_array(arrays[node.input[2]]).astype(np.float32)
            found.append((kernel, bias))
    if not found:
        raise RestoreError(f"{path} has no convolution")
    return found


def _in_order(network: nn.Module, plan: ModelPlan) -> list[nn.Module]:
    """The convolutions in the order in which they run."""
    order: list[nn.Module] = []
    with _watching(network, _CONVOLUTIONS, lambda layer, _: order.append(layer)), torch.no_grad():
        network(torch.zeros(1, plan.planes, SIZE, SIZE))
    return order


def _fits(convolutions: list[nn.Module], weights: list[Weights], maps: int) -> bool:
    """Whether the shapes agree; of the last layer the file has the first map only."""
    if len(convolutions) != len(weights):
        return False
    shapes = [tuple(layer.weight.shape) for layer in convolutions]
    outputs, *rest = shapes[-1]
    shapes[-1] = (outputs // maps, *rest)
    return shapes == [kernel.shape for kernel, _ in weights]


def _fill(network: nn.Module, convolutions: list[nn.Module], weights: list[Weights]) -> None:
    norms = _norms_after(network)
    with torch.no_grad():
        for layer, (kernel, bias) in zip(convolutions, weights, strict=True):
            outputs = len(kernel)
            layer.weight[:outputs] = torch.from_numpy(kernel.copy())
            offset = torch.from_numpy(bias.copy())
            if layer in norms:
                _pass_on(norms[layer], offset)
            elif layer.bias is not None:
                layer.bias[:outputs] = offset
            elif offset.any():
                raise RestoreError("a convolution without bias has one in the file")


def _norms_after(network: nn.Module) -> dict[nn.Module, nn.Module]:
    """The batch norm that follows each convolution, as the blocks are built."""
    found = {}
    for block in network.modules():
        children = list(block.children())
        for layer, after in pairwise(children):
            if isinstance(layer, _CONVOLUTIONS) and isinstance(after, _NORMS):
                found[layer] = after
    return found


def _pass_on(norm: nn.Module, offset: Tensor) -> None:
    """Only add an offset."""
    norm.running_mean.zero_()
    norm.running_var.fill_(1.0)
    norm.weight.fill_(math.sqrt(1.0 + norm.eps))
    norm.bias.copy_(offset)


def _settle_norm(norm: nn.Module, mean: Tensor, variance: Tensor) -> None:
    with torch.no_grad():
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        offset = norm.bias - norm.running_mean * scale
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_(scale * torch.sqrt(norm.running_var + norm.eps))
        norm.bias.copy_(offset + mean * scale)


def _note(seen: dict[nn.Module, list[Tensor]], norm: nn.Module, given: Tensor) -> None:
    axes = [axis for axis in range(given.ndim) if axis != 1]
    moments = torch.stack([given.mean(dim=axes), (given**2).mean(dim=axes)])
    seen.setdefault(norm, []).append(moments)


@contextmanager
def _watching(
    network: nn.Module, kinds: tuple[type, ...], note: Callable[[nn.Module, Tensor], None]
) -> Iterator[None]:
    """Call `note` with a layer of these kinds, and its input, whenever one runs."""

    def hook(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        note(layer, given[0])

    layers: list[nn.Module] = [layer for layer in network.modules() if isinstance(layer, kinds)]
    handles = [layer.register_forward_pre_hook(hook) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
