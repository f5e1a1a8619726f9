"""fp16 networks out of fp32 ones, by ONNX Runtime's converter (extra ``gpu``)."""

from __future__ import annotations

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx.shape_inference import InferenceError
from onnxruntime.transformers.float16 import convert_float_to_float16

from engines.artefacts import ModelError


def halved(path: Path) -> bytes:
    """The network of an ONNX file in fp16; what goes in and comes out stays fp32.

    Raises
    ------
    ModelError
        When the file is no network, or cannot be converted.
    """
    try:
        network = convert_float_to_float16(onnx.load(path), keep_io_types=True)
    except (DecodeError, InferenceError, ValueError) as error:
        raise ModelError(f"{path} cannot be made fp16: {error}") from error
    content: bytes = network.SerializeToString()
    return content
