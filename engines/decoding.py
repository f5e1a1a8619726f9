"""Lossless frames decoded by DALI, which has nvImageCodec do it: on the CPU or on a GPU.

JPEG 2000 and HTJ2K on both, JPEG Lossless on a GPU only. One definition serves both
devices, so what runs without a GPU is what runs on one.

References
----------
DALI documentation, ``fn.decoders.image``; nvJPEG2000 documentation, "Decoder".
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from nvidia.dali import fn, pipeline_def, types
from nvidia.dali.pipeline import Pipeline

from engines.preprocess import Device

Words = npt.NDArray[np.uint16]

#: Each thread keeps memory of its own on the GPU, and more than these do not decode faster.
_MOST_THREADS = 8


class DecodingError(Exception):
    """DALI could not decode some frame of a call, or its device failed."""


class FrameDecoder:
    """Decodes frames that say they are one component of unsigned 16-bit samples.

    Only such: DALI stretches samples of fewer bits to the whole range on one device and not
    on the other, and its CPU side reads no signed ones.

    Parameters
    ----------
    device, device_id
        "cpu", or "gpu" with the device's number.
    batch
        Most frames of one call.

    Raises
    ------
    DecodingError
        When the device cannot be used.
    """

    def __init__(self, device: Device = "cpu", device_id: int = 0, batch: int = 16) -> None:
        self.batch = batch
        self._operator = "mixed" if device == "gpu" else "cpu"
        self._device_id = device_id if device == "gpu" else None
        self._pipeline = self._built()

    def decode(self, frames: Sequence[bytes]) -> list[Words]:
        """The samples of each frame, shape (rows, columns), bit for bit as they were encoded.

        From one thread at a time.

        Raises
        ------
        DecodingError
            When one frame of them cannot be decoded; the next call is not touched by it.
        """
        try:
            self._pipeline.feed_input("frame", [np.frombuffer(one, np.uint8) for one in frames])
            (output,) = self._pipeline.run()
            on_cpu = output.as_cpu()
            return [np.array(on_cpu.at(index))[..., 0] for index in range(len(frames))]
        except RuntimeError as error:
            self._pipeline = self._built()  # a pipeline that failed is good for nothing more
            raise DecodingError(_first_line(error)) from error

    def _built(self) -> Pipeline:
        try:
            pipeline = _decode_pipeline(
                self._operator,
                batch_size=self.batch,
                num_threads=min(_MOST_THREADS, len(os.sched_getaffinity(0))),
                device_id=self._device_id,
                prefetch_queue_depth=1,
                exec_pipelined=False,
                exec_async=False,
            )
            pipeline.build()
        except RuntimeError as error:
            raise DecodingError(_first_line(error)) from error
        return pipeline


@pipeline_def  # type: ignore[untyped-decorator]
def _decode_pipeline(operator: str) -> Any:
    """Without dtype UINT16 the operator answers with 8-bit samples and says nothing."""
    frame = fn.external_source(name="frame", dtype=types.UINT8, ndim=1)
    options: dict[str, Any] = {"affine": False} if operator == "mixed" else {}
    return fn.decoders.image(
        frame,
        device=operator,
        output_type=types.ANY_DATA,
        dtype=types.UINT16,
        adjust_orientation=False,
        **options,
    )


def _first_line(error: RuntimeError) -> str:
    """What DALI says beside where in the pipeline it was."""
    lines = [line.strip() for line in str(error).splitlines()]
    telling = [line for line in lines if line.startswith(("Failed", "CUDA", "nvImageCodec"))]
    return telling[0] if telling else next((line for line in lines if line), "no reason given")
