"""Plans built by TensorRT-RTX, which needs no GPU for it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from engines.artefacts import ModelError
from engines.models import ModelSpec, half, load_repository, load_spec
from engines.runtimes.tensorrt.building import BuildError, Order, build_plan
from engines.runtimes.tensorrt.driver import gpus
from engines.runtimes.tensorrt.flavours import TENSORRT, TENSORRT_RTX, resolve_target
from engines.runtimes.tensorrt.plans import batches_of, network_of
from engines.warm_up import warm_up_input
from tests.tiny_models import write_block_repository, write_segments_repository

SHIPPED = load_repository()
#: What the GPU may serve of each: fp16, and int8 where the model ships it.
SERVED = [(spec, "fp16") for spec in SHIPPED] + [
    (spec, "int8")
    for spec in SHIPPED
    if any(artefact.dialect == "tensorrt" for artefact in spec.artefacts)
]
TARGETS = ("sm_89", "sm_120")
no_gpu = pytest.mark.skipif(bool(gpus()), reason="there is a GPU here")


def network(spec: ModelSpec, precision: str) -> bytes:
    artefact = half(spec) if precision == "fp16" else spec.artefact(precision, ["tensorrt"])
    return network_of(artefact)


def convolutions(plan: bytes) -> Counter[tuple[str, str]]:
    """Types of what each convolution of a plan reads: input and weights.

    TensorRT-RTX 1.7 keeps the graph as text in its plans, once for each profile.
    """
    text = plan.decode("latin-1")
    types = dict(re.findall(r'  (?:sub_)?tensor={ .*? name="([^"]+)" .* type=(\w+) }', text))
    found = re.findall(r'corrltn={ name="[^"]+" output={.*?} input={"([^"]+)" "([^"]+)"', text)
    return Counter((types[given], types[weights]) for given, weights in found)


def wanted(model: onnx.ModelProto, precision: str, profiles: int) -> Counter[tuple[str, str]]:
    """The same as a network of that precision asks for."""
    makers = {name: node.op_type for node in model.graph.node for name in node.output}
    plain = "half" if precision == "fp16" else "float"
    asked: Counter[tuple[str, str]] = Counter()
    for node in model.graph.node:
        if node.op_type == "Conv":
            quantised = [makers.get(name) == "DequantizeLinear" for name in node.input[:2]]
            asked[("int8", "int8") if all(quantised) else (plain, plain)] += profiles
    return asked


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("spec", "precision"), SERVED, ids=lambda one: getattr(one, "name", one))
def test_every_shipped_model_builds(spec: ModelSpec, precision: str, target: str) -> None:
    phases: list[str] = []
    order = Order(spec, precision, network(spec, precision), target, batches_of(spec))
    plan, timings = build_plan(TENSORRT_RTX, order, phases.append)
    asked = wanted(onnx.load_from_string(order.network), precision, len(order.batches))
    assert convolutions(plan) == asked
    assert "Building engine" in phases
    assert timings == b"", "TensorRT-RTX times no kernels"


@pytest.mark.parametrize("spec", SHIPPED, ids=lambda spec: spec.name)
def test_fp16_answers_as_fp32_does(spec: ModelSpec) -> None:
    slab = warm_up_input(spec)
    full, halved = (
        onnxruntime.InferenceSession(
            network(spec, precision), providers=["CPUExecutionProvider"]
        ).run([spec.output_name], {spec.input_name: slab})[0]
        for precision in ("fp32", "fp16")
    )
    assert halved.dtype == np.float32
    assert 0 < np.abs(halved - full).max() < 0.02


def test_lung_and_lesion_are_built_in_int8() -> None:
    assert {spec.name for spec, precision in SERVED if precision == "int8"} >= {"lung", "lesion"}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_block_repository(tmp_path_factory.mktemp("repository"))


def test_a_block_model_builds(repository: Path) -> None:
    spec = load_spec(repository / "lesion_thin")
    for precision in ("fp32", "fp16"):
        order = Order(spec, precision, network(spec, precision), "sm_89", (1, 4))
        assert build_plan(TENSORRT_RTX, order, lambda phase: None)[0]


def refused(model: onnx.ModelProto) -> None:
    for node, kind, name in zip(
        model.graph.node, ("NoSuch", "NorThis"), ("first", "second"), strict=True
    ):
        node.op_type, node.name = kind, name


def one_slab(model: onnx.ModelProto) -> None:
    for tensor in (*model.graph.input, *model.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_value = 1


def other_output(model: onnx.ModelProto) -> None:
    model.graph.output[0].name = model.graph.node[1].output[0] = "certainty"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (refused, r"refuses node first \(NoSuch\): .*; node second \(NorThis\): "),
        (one_slab, r"profile index 1\. Input dimensions are \[1,1,64,64\] .*\[8,1,64,64\]"),
        (other_output, r"its tensors are \['planes'\] and \['certainty'\], spec.toml says"),
    ],
)
def test_what_cannot_be_built_is_named(
    change: Callable[[onnx.ModelProto], None], message: str, repository: Path
) -> None:
    spec = load_spec(repository / "lung")
    model = onnx.load(spec.artefact("fp32").path)
    change(model)
    order = Order(spec, "fp32", model.SerializeToString(), "sm_89", (1, 8))
    with pytest.raises(BuildError, match=message) as caught:
        build_plan(TENSORRT_RTX, order, lambda phase: None)
    assert "lung fp32 for sm_89" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"), [({"planes": 3}, "min=3"), ({"size": (32, 32)}, "min=32")]
)
def test_a_network_of_another_shape_is_named(
    change: dict[str, int | tuple[int, int]], message: str, repository: Path
) -> None:
    spec = load_spec(repository / "lung")
    order = Order(replace(spec, **change), "fp32", network(spec, "fp32"), "sm_89", (1, 8))
    with pytest.raises(BuildError, match=f"{message}.* tensor has"):
        build_plan(TENSORRT_RTX, order, lambda phase: None)


def test_a_file_that_is_no_network_is_named(repository: Path) -> None:
    spec = load_spec(repository / "lung")
    order = Order(spec, "fp32", b"no network", "sm_89", (1, 8))
    with pytest.raises(BuildError, match=r"the parser refuses the file: .*Failed to parse"):
        build_plan(TENSORRT_RTX, order, lambda phase: None)
    (repository / "lung" / "1" / "broken.onnx").write_bytes(b"no network")
    broken = replace(half(spec), path=repository / "lung" / "1" / "broken.onnx")
    with pytest.raises(ModelError, match="cannot be made fp16"):
        network_of(broken)


def test_a_named_target_is_built_for_wherever_it_is() -> None:
    assert {"sm_86", *TARGETS} <= set(TENSORRT_RTX.targets())
    assert resolve_target(TENSORRT_RTX, "sm_89") == "sm_89"
    with pytest.raises(ModelError, match=r"cannot build for sm_9; it builds for .*sm_89"):
        resolve_target(TENSORRT_RTX, "sm_9")


@no_gpu
def test_without_a_gpu_a_target_must_be_named() -> None:
    with pytest.raises(ModelError, match=r"no GPU is here to build for; name a target: .*sm_89"):
        resolve_target(TENSORRT_RTX)
    with pytest.raises(ModelError, match="TensorRT builds on the GPU it builds for"):
        resolve_target(TENSORRT)
    with pytest.raises(ModelError, match="tensorrt cannot build for sm_89"):
        resolve_target(TENSORRT, "sm_89")


def test_a_scan_is_divided_in_one_inference(tmp_path: Path) -> None:
    specs = {spec.name: spec for spec in load_repository(write_segments_repository(tmp_path))}
    assert batches_of(specs["lobes"]) == batches_of(specs["segments"]) == (1,)
    assert max(batches_of(specs["lung"])) > 1
