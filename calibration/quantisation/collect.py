"""Histograms of a network's activations over slabs, measured in ONNX Runtime."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from calibration.quantisation.graph import Network
from calibration.quantisation.ranges import Histogram, Range, RangeTable

Slab = npt.NDArray[np.float32]
_BINS = 2048


def collect(network: Network, slabs: Sequence[Slab]) -> dict[str, Histogram]:
    """How the activations that may carry Q/DQ are distributed.

    Limits are those of every value; counts are of every second row and column.

    Parameters
    ----------
    network
        In fp32.
    slabs
        Network inputs, each of shape (planes, rows, columns).

    Returns
    -------
    By tensor.
    """
    names = network.measured()
    limits = _limits(network.model, names, slabs)
    counts = {name: np.zeros(_BINS, np.int64) for name in names}
    session = _session(_with_samples(network.model, names))
    for slab in slabs:
        for name, values in zip(names, _run(session, slab), strict=True):
            counts[name] += _counted(values.ravel(), *limits[name])
    return {name: Histogram(*limits[name], counts[name]) for name in names}


def table_of(
    histograms: Mapping[str, Histogram], method: str, reference: str, cases: Sequence[str]
) -> RangeTable:
    """The table of ranges by one method; nothing is kept in fp32 yet."""
    tensors: dict[str, Range] = {name: found.range(method) for name, found in histograms.items()}
    return RangeTable(reference, method, tuple(cases), tensors)


def _counted(values: Slab, low: float, high: float) -> npt.NDArray[np.int64]:
    if high <= low:
        return np.bincount([0], [values.size], _BINS).astype(np.int64)
    places = ((values - low) * (_BINS / (high - low))).astype(np.int32)
    return np.bincount(np.clip(places, 0, _BINS - 1), minlength=_BINS)


def _limits(
    model: onnx.ModelProto, names: Sequence[str], slabs: Sequence[Slab]
) -> dict[str, tuple[float, float]]:
    session = _session(_with_limits(model, names))
    found = np.array([_run(session, slab) for slab in slabs]).reshape(len(slabs), len(names), 2)
    lows, highs = found[..., 0].min(axis=0), found[..., 1].max(axis=0)
    return {
        name: (float(low), float(high)) for name, low, high in zip(names, lows, highs, strict=True)
    }


def _with_limits(model: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """The model with the smallest and largest value of each tensor as its outputs."""
    nodes = [
        helper.make_node(f"Reduce{which}", [name], [f"{name}:{which}"], keepdims=0)
        for name in names
        for which in ("Min", "Max")
    ]
    return _observed(model, nodes, [])


def _with_samples(model: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """The model with every second row and column of each tensor as its outputs."""
    constants = {"starts": [0, 0], "ends": [2**31 - 1] * 2, "axes": [-2, -1], "steps": [2, 2]}
    tensors = [
        numpy_helper.from_array(np.array(values, np.int64), f"sample:{key}")
        for key, values in constants.items()
    ]
    wanted = [tensor.name for tensor in tensors]
    nodes = [helper.make_node("Slice", [name, *wanted], [f"{name}:sample"]) for name in names]
    return _observed(model, nodes, tensors)


def _observed(
    model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto], tensors: Sequence[onnx.TensorProto]
) -> onnx.ModelProto:
    observed = copy.deepcopy(model)
    observed.graph.node.extend(nodes)
    observed.graph.initializer.extend(tensors)
    del observed.graph.output[:]
    observed.graph.output.extend(
        helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, None) for node in nodes
    )
    return observed


def _session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )


def _run(session: onnxruntime.InferenceSession, slab: Slab) -> list[Slab]:
    (given,) = session.get_inputs()
    answers: list[Slab] = session.run(None, {given.name: slab[None]})
    return answers
