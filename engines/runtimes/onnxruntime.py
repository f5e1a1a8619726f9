"""ONNX Runtime on the CPU: executes every dialect of Q/DQ as it is written.

Slower than OpenVINO, so only by name: it judges INT8 artefacts of runtimes that
this machine has no device for. Weights and activations are rounded as Q/DQ says
and convolved in fp32, which an integer engine repeats up to the last rounding.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os

import numpy as np
import numpy.typing as npt

from engines.models import Artefact, ModelError, ModelSpec
from engines.runtimes.base import RuntimeUnavailableError

_ERROR = 3  # the severity from which ONNX Runtime writes to stderr


class OnnxRuntime:
    """The CPU provider of ONNX Runtime."""

    name = "onnxruntime"
    precisions: tuple[str, ...] = ("fp32", "int8")
    timed: tuple[str, ...] = ()
    dialects: tuple[str, ...] = ("tensorrt", "openvino")
    by_name_only = True

    def version(self) -> str:
        return f"onnxruntime {importlib.metadata.version('onnxruntime')}"

    def missing(self) -> str | None:
        if importlib.util.find_spec("onnxruntime") is None:
            return "the package onnxruntime is not installed (pip install 'breathhold[calibrate]')"
        return None

    def unavailable(self) -> str | None:
        return self.missing()

    def device(self) -> str:
        if reason := self.unavailable():
            raise RuntimeUnavailableError(f"onnxruntime: {reason}")
        return f"CPU, {_cores()} cores, {self.version()}"

    def by_device(self) -> dict[str, OnnxRuntime]:
        if reason := self.unavailable():
            raise RuntimeUnavailableError(f"onnxruntime: {reason}")
        return {"cpu": self}

    def load(self, spec: ModelSpec, artefact: Artefact) -> OnnxExecutable:
        if reason := self.unavailable():
            raise RuntimeUnavailableError(f"onnxruntime: {reason}")
        artefact.verify()
        return OnnxExecutable(spec, artefact)


class OnnxExecutable:
    """A network loaded into a session; one slab an inference, whatever shares the call."""

    def __init__(self, spec: ModelSpec, artefact: Artefact) -> None:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as state

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = _cores()
        options.log_severity_level = _ERROR
        try:
            self._session = onnxruntime.InferenceSession(
                str(artefact.path), options, providers=["CPUExecutionProvider"]
            )
        except (state.Fail, state.InvalidProtobuf, state.InvalidGraph) as error:
            raise ModelError(f"{artefact.path}: ONNX Runtime cannot load it: {error}") from error
        self._input, self._output = spec.input_name, spec.output_name

    def run(self, slabs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        answers = [self._session.run([self._output], {self._input: slab[None]}) for slab in slabs]
        found = np.stack([answer[0][0] for answer in answers])
        return found[:, 0] if found.shape[1] == 1 else found


def _cores() -> int:
    return len(os.sched_getaffinity(0))
