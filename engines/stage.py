"""How a DALI pipeline is run here: one batch at a time, built anew after a failure."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from nvidia.dali.pipeline import Pipeline

Device = Literal["cpu", "gpu"]

#: What DALI says of its GPU. That it says CUDA is not enough: some decoders' names do, and
#: it names them with a damaged frame.
OF_THE_GPU = (
    "CUDA runtime API error",
    "CUDA driver API error",
    "CUDA allocation failed",
    "CUDA is not available",
    "bytes on device",
)
#: DALI ends the process when it cannot give back what it holds on a GPU that is lost, so
#: pipelines on GPUs last as long as the process.
_on_gpus: set[Pipeline] = set()


def pipeline_options(batch: int, device: Device, device_id: int | None) -> dict[str, Any]:
    """One run at a time, on as many threads as there are cores.

    On a GPU the dynamic executor, which alone hands outputs over on a stream.
    """
    options = {
        "batch_size": batch,
        "num_threads": len(os.sched_getaffinity(0)),
        "prefetch_queue_depth": 1,
    }
    if device == "gpu":
        return options | {"device_id": device_id or 0, "exec_dynamic": True}
    return options | {"device_id": None, "exec_pipelined": False, "exec_async": False}


class Stage:
    """A DALI pipeline that is built anew after a run that failed.

    What was fed to a run that failed would otherwise be the input of the next one.
    """

    def __init__(self, define: Callable[[], Pipeline]) -> None:
        self._define = define
        self._pipeline: Pipeline | None = self._built()

    def run(self, **inputs: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """Outputs of one batch on the host; each input is a list with one array a sample."""
        output = self.output(None, **inputs)
        on_cpu = output.as_cpu() if hasattr(output, "as_cpu") else output
        return [np.array(on_cpu.at(index)) for index in range(len(on_cpu))]

    def output(self, stream: int | None, **inputs: Sequence[npt.NDArray[Any]]) -> Any:
        """DALI's list of the outputs of one batch, where DALI made them.

        Parameters
        ----------
        stream
            CUDA stream on which they are ready; None to wait until they are.
        inputs
            Each a list with one array a sample.
        """
        pipeline, self._pipeline = self._pipeline or self._built(), None
        try:
            for name, samples in inputs.items():
                pipeline.feed_input(name, samples)
            (output,) = pipeline.run(stream)
        except Exception as error:
            if not is_of_the_gpu(error):
                _on_gpus.discard(pipeline)
            raise
        self._pipeline = pipeline
        return output

    def _built(self) -> Pipeline:
        pipeline = self._define()
        if pipeline.device_id is not None:
            _on_gpus.add(pipeline)
        pipeline.build()
        return pipeline


def is_of_the_gpu(error: Exception) -> bool:
    """Whether DALI failed by its GPU, and not by what it was given."""
    return any(phrase in str(error) for phrase in OF_THE_GPU)
