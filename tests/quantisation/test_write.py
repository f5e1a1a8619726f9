"""Q/DQ networks: near fp32 in the runtime they are for, and written as their dialect says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from calibration.quantisation.collect import collect, table_of
from calibration.quantisation.graph import Network
from calibration.quantisation.ranges import RangeTable
from calibration.quantisation.write import write_qdq
from engines.artefacts import Artefact, sha256_of
from engines.models import ModelError, ModelSpec
from engines.runtimes import choose
from tests.quantisation.made_networks import PLANES, SIZE, made_network, made_slabs

FORMS = ("flat", "solid")


def table(form: str) -> RangeTable:
    network = Network(made_network(form))
    return table_of(collect(network, made_slabs(form)), "min-max", "0" * 64, ["made"])


def spec(form: str) -> ModelSpec:
    block = form == "solid"
    return ModelSpec(
        name=form,
        version=1,
        role="lesion",
        sections=("thin", "medium", "thick"),
        planes=PLANES[form],
        neighbour_mm=3.0,
        size=(SIZE, SIZE),
        window_hu=(-1350.0, 250.0),
        input_name="planes",
        output_name="probability",
        threshold=0.5,
        artefacts=(Artefact("fp32", Path("model.onnx"), ""),),
        form="block" if block else "neighbours",
    )


def run(model: onnx.ModelProto, form: str, runtime: str, folder: Path) -> np.ndarray:
    path = folder / "model.onnx"
    onnx.save(model, path)
    artefact = Artefact("int8", path, sha256_of(path))
    return choose(runtime).load(spec(form), artefact).run(np.stack(made_slabs(form)))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("dialect", "runtime"),
    [("openvino", "openvino"), ("openvino", "onnxruntime"), ("tensorrt", "onnxruntime")],
)
def test_int8_answers_as_fp32_does(form: str, dialect: str, runtime: str, tmp_path: Path) -> None:
    float_model = made_network(form)
    wanted = run(float_model, form, "onnxruntime", tmp_path)
    quantised = write_qdq(Network(made_network(form)), table(form), dialect)
    found = run(quantised, form, runtime, tmp_path)
    assert found.shape == wanted.shape
    assert wanted.std() > 0.05
    assert 0 < np.abs(found - wanted).mean() < 0.05 * wanted.std()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dialect", ["openvino", "tensorrt"])
def test_activations_and_weights_are_of_the_dialect(form: str, dialect: str) -> None:
    graph = write_qdq(Network(made_network(form)), table(form), dialect).graph
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    zeros = [tensors[node.input[2]] for node in graph.node if node.op_type == "QuantizeLinear"]
    assert zeros
    for zero in zeros:
        assert zero.dtype == (np.int8 if dialect == "tensorrt" else np.uint8)
        assert dialect == "openvino" or zero == 0
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    makers = {out: node for node in graph.node for out in node.output}
    for node in convolutions:
        weight, scale, zero = (tensors[name] for name in makers[node.input[1]].input)
        assert weight.dtype == np.int8
        assert np.abs(weight.astype(int)).max() == 127
        assert scale.shape == zero.shape == (len(weight),)
        assert not zero.any()
        assert makers[node.input[0]].op_type in ("DequantizeLinear", "Concat", "MaxPool")
    assert len(convolutions[0].input) == 3
    assert tensors[convolutions[0].input[2]].dtype == np.float32


def test_what_is_concatenated_shares_one_range() -> None:
    network = Network(made_network("flat"))
    (group,) = [group for group in network.sites().groups if "both:0" in group]
    assert set(group) == {"joined:0", "pooled:0", "deep.relu:0", "wide:0", "both:0"}
    graph = write_qdq(network, table("flat"), "tensorrt").graph
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    assert len({float(tensors[f"{name}:scale"]) for name in group}) == 1


@pytest.mark.parametrize(
    ("dialect", "kept", "summands"),
    [
        ("openvino", (), ["inner:0:dequantised", "stem.relu:0:dequantised"]),
        ("tensorrt", (), ["inner:0", "stem.relu:0:dequantised"]),
        ("openvino", ("inner",), ["inner:0", "stem.relu:0"]),
    ],
)
def test_what_is_rounded_before_an_addition(
    dialect: str, kept: tuple[str, ...], summands: list[str]
) -> None:
    written = write_qdq(Network(made_network("flat")), replace(table("flat"), kept=kept), dialect)
    (addition,) = [node for node in written.graph.node if node.op_type == "Add"]
    assert list(addition.input) == summands


def test_kept_layers_read_what_was_never_rounded() -> None:
    network = Network(made_network("flat"))
    kept = replace(table("flat"), kept=("stem", "inner"))
    nodes = {node.name: node for node in write_qdq(network, kept, "tensorrt").graph.node}
    assert list(nodes["stem"].input) == ["planes", "stem.w", "stem.b"]
    assert list(nodes["inner"].input)[:2] == ["stem.relu:0", "inner.w"]
    assert nodes["deep"].input[1] == "deep:weight:dequantised"


@pytest.mark.parametrize("layer", ["stem", "inner", "deep", "head"])
@pytest.mark.parametrize("dialect", ["openvino", "tensorrt"])
def test_any_layer_can_be_kept(layer: str, dialect: str, tmp_path: Path) -> None:
    network = Network(made_network("flat"))
    assert layer in network.convolutions
    model = write_qdq(network, replace(table("flat"), kept=(layer,)), dialect)
    wanted = run(made_network("flat"), "flat", "onnxruntime", tmp_path)
    found = run(model, "flat", "onnxruntime", tmp_path)
    assert np.abs(found - wanted).mean() < 0.05 * wanted.std()


def test_histograms_hold_every_second_row_and_column() -> None:
    slabs = made_slabs("flat")
    found = collect(Network(made_network("flat")), slabs)["planes"]
    assert found.low == pytest.approx(min(slab.min() for slab in slabs))
    assert found.high == pytest.approx(max(slab.max() for slab in slabs))
    assert found.counts.sum() == sum(slab.size for slab in slabs) // 4


def test_unknown_dialects_and_foreign_tables_are_errors() -> None:
    network = Network(made_network("flat"))
    with pytest.raises(ValueError, match="no dialect 'latin'"):
        write_qdq(network, table("flat"), "latin")
    foreign = replace(table("flat"), tensors={})
    with pytest.raises(ModelError, match="has none of"):
        write_qdq(network, foreign, "openvino")
