"""The project's own networks in INT8: OpenVINO computes every convolution in INT8, and rightly.

Pixels folded into channels and back must cost neither.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import openvino
import pytest

from calibration.quantisation.collect import collect, table_of
from calibration.quantisation.graph import Network
from calibration.quantisation.write import write_qdq

torch = pytest.importorskip("torch")
colinet = pytest.importorskip("engines.networks.colinet")
covidlesionnet = pytest.importorskip("engines.networks.covidlesionnet")
denseunet = pytest.importorskip("engines.networks.denseunet")
unet25d = pytest.importorskip("engines.networks.unet25d")
vbnet = pytest.importorskip("engines.networks.vbnet")

SIZE = 64
PLANES = {"vbnet": 8, "denseunet": 8, "unet25d": 3, "colinet": 1, "covidlesionnet": 1}


def made(name: str) -> Any:
    torch.manual_seed(1)
    match name:
        case "vbnet":
            return vbnet.VBNet(width=8)
        case "denseunet":
            return denseunet.DenseUNet(width=8)
        case "colinet":
            return colinet.COLINet((-1350.0, 250.0), SIZE, width=8)
        case "covidlesionnet":
            return covidlesionnet.COVIDLesionNet(width=8)
        case _:
            return unet25d.UNet25d(planes=3, width=8)


def exported(name: str) -> onnx.ModelProto:
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            made(name).eval(),
            (torch.zeros(1, PLANES[name], SIZE, SIZE),),
            file,
            input_names=["planes"],
            output_names=["logit"],
            dynamic_axes={"planes": {0: "n"}, "logit": {0: "n"}},
            opset_version=17,
            dynamo=False,
        )
    return onnx.load_from_string(file.getvalue())


@pytest.mark.parametrize("name", PLANES)
def test_every_convolution_is_int8_and_answers_as_fp32_does(name: str, tmp_path: Path) -> None:
    model = exported(name)
    coarse = np.random.default_rng(2).random((1, PLANES[name], 8, 8), np.float32)
    slab = coarse.repeat(SIZE // 8, axis=2).repeat(SIZE // 8, axis=3)
    plain = onnxruntime.InferenceSession(model.SerializeToString())
    (wanted,) = plain.run(None, {"planes": slab})
    network = Network(model)
    table = table_of(collect(network, list(slab)), "min-max", "0" * 64, ["made"])
    onnx.save(write_qdq(network, table, "openvino"), tmp_path / "int8.onnx")
    read = openvino.Core().read_model(tmp_path / "int8.onnx")
    read.reshape([1, *slab.shape[1:]])
    compiled = openvino.compile_model(read, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    assert np.abs(compiled(slab)[0] - wanted).mean() < 0.05 * wanted.std()
    layers = [node.get_rt_info() for node in compiled.get_runtime_model().get_ops()]
    kinds = [
        info["primitiveType"].astype(str)
        for info in layers
        if info["layerType"].astype(str) == "Convolution"
    ]
    assert len(kinds) == len(network.convolutions)
    assert [kind for kind in kinds if not kind.endswith("I8")] == []
