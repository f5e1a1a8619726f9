"""OpenVINO on the CPU: the embedded default.

Every inference has batch 1. Slabs of neighbours run on one thread each, as many
side by side as there are cores, which is as fast as a large batch; a block, of
which few wait at a time, runs on all cores. What shares the call changes nothing.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import threading
from collections import deque
from contextlib import suppress
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from engines.models import Artefact, ModelError, ModelSpec
from engines.runtimes.base import RuntimeUnavailableError


class OpenVinoRuntime:
    """The OpenVINO CPU plug-in."""

    name = "openvino"
    precisions: tuple[str, ...] = ("int8", "fp32")
    timed: tuple[str, ...] = ()
    dialects: tuple[str, ...] = ("openvino",)
    by_name_only = False

    def version(self) -> str:
        return f"openvino {importlib.metadata.version('openvino')}"

    def missing(self) -> str | None:
        if importlib.util.find_spec("openvino") is None:
            return "the package openvino is not installed (pip install openvino)"
        return None

    def unavailable(self) -> str | None:
        return self.missing()

    def device(self) -> str:
        if reason := self.unavailable():
            raise RuntimeUnavailableError(f"openvino: {reason}")
        import openvino

        name = _core().get_property("CPU", "FULL_DEVICE_NAME")
        return f"{name}, {_cores()} cores, OpenVINO {openvino.__version__}"

    def by_device(self) -> dict[str, OpenVinoRuntime]:
        if reason := self.unavailable():
            raise RuntimeUnavailableError(f"openvino: {reason}")
        return {"cpu": self}

    def load(self, spec: ModelSpec, artefact: Artefact) -> OpenVinoExecutable:
        if reason := self.unavailable():
            raise RuntimeUnavailableError(f"openvino: {reason}")
        artefact.verify()
        return OpenVinoExecutable(spec, artefact)


class OpenVinoExecutable:
    """A network compiled for the CPU."""

    def __init__(self, spec: ModelSpec, artefact: Artefact) -> None:
        core = _core()
        try:
            model = core.read_model(artefact.path)
            model.reshape({spec.input_name: [1, spec.planes, *spec.size]})
            streams = 1 if spec.form == "block" else _cores()
            compiled = core.compile_model(model, "CPU", _compile_options(streams))
            self._answer = tuple(compiled.output(spec.output_name).shape)[1:]
        except RuntimeError as error:
            raise ModelError(f"{artefact.path}: OpenVINO cannot load it: {error}") from error
        self._input, self._output = spec.input_name, spec.output_name
        # Not an AsyncInferQueue: after an error of its callback a later call ends the process, and
        # two threads that call it get each other's answers.
        self._requests = [compiled.create_infer_request() for _ in range(streams)]
        self._running = threading.Lock()

    def run(self, slabs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        results = np.empty((len(slabs), *self._answer), dtype=np.float32)
        with self._running:
            try:
                self._infer(slabs, results)
            finally:
                for request in self._requests:
                    with suppress(RuntimeError):
                        request.wait()
        return results[:, 0] if self._answer[0] == 1 else results

    def _infer(self, slabs: npt.NDArray[np.float32], results: npt.NDArray[np.float32]) -> None:
        asked = deque[tuple[int, Any]]()
        for index, slab in enumerate(slabs):
            request = self._requests[index % len(self._requests)]
            if len(asked) == len(self._requests):
                self._take(*asked.popleft(), results)
            request.start_async({self._input: slab[None]})
            asked.append((index, request))
        while asked:
            self._take(*asked.popleft(), results)

    def _take(self, index: int, request: Any, results: npt.NDArray[np.float32]) -> None:
        request.wait()
        results[index] = request.get_tensor(self._output).data[0]


@cache
def _core() -> Any:
    """One for the process, as OpenVINO advises."""
    import openvino

    return openvino.Core()


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _compile_options(streams: int) -> dict[str, str]:
    return {
        "PERFORMANCE_HINT": "THROUGHPUT",
        "NUM_STREAMS": str(streams),
        "INFERENCE_NUM_THREADS": str(_cores()),
        "INFERENCE_PRECISION_HINT": "f32",
    }
