"""Pipelines on a GPU that is lost are not let go; there is none here, so they are only named."""

from __future__ import annotations

import gc
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest
from nvidia import dali
from nvidia.dali.pipeline import Pipeline

from engines.stage import OF_THE_GPU, Stage, is_of_the_gpu

ILLEGAL_ADDRESS = (
    "Critical error in pipeline:\nError in GPU operator `nvidia.dali.fn.resize`:\n"
    "CUDA runtime API error cudaErrorIllegalAddress (700):\n"
    "an illegal memory access was encountered"
)
NO_MEMORY = "Critical error in pipeline:\nCan't allocate 1073741824 bytes on device 0."
NO_IMAGE = "Critical error in pipeline:\nFailed to decode sample #3 [nvjpeg_cuda_decoder]."


class NamedPipeline:
    """What a stage asks of a pipeline; fails as it is told."""

    def __init__(self, device_id: int | None, error: Exception) -> None:
        self.device_id, self._error = device_id, error

    def build(self) -> None: ...

    def run(self, stream: int | None) -> Any:
        raise self._error


def is_kept(device_id: int | None, error: Exception) -> bool:
    """Whether the pipeline of a stage outlives its failure and the stage."""
    made: list[weakref.ref[NamedPipeline]] = []

    def define() -> Pipeline:
        pipeline = NamedPipeline(device_id, error)
        made.append(weakref.ref(pipeline))
        return cast(Pipeline, pipeline)

    with suppress(type(error)):
        Stage(define).output(None)
    error.__traceback__ = None  # whose frames hold it, too
    gc.collect()
    return made[0]() is not None


def test_the_texts_are_those_of_the_library() -> None:
    folder = Path(dali.__file__).parent
    libraries = b"".join((folder / f"libdali{part}.so").read_bytes() for part in ("", "_core"))
    assert [text for text in OF_THE_GPU if text.encode() not in libraries] == []


@pytest.mark.parametrize("text", [ILLEGAL_ADDRESS, NO_MEMORY])
def test_a_pipeline_whose_gpu_failed_is_never_let_go(text: str) -> None:
    assert is_of_the_gpu(RuntimeError(text))
    assert is_kept(0, RuntimeError(text))
    assert not is_kept(None, RuntimeError(text))


def test_a_frame_that_cannot_be_decoded_costs_no_memory() -> None:
    assert not is_of_the_gpu(RuntimeError(NO_IMAGE))
    assert not is_kept(0, RuntimeError(NO_IMAGE))
