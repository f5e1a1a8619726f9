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

from engines.stage import Device, Stage, pipeline_options

Words = npt.NDArray[np.uint16]

#: OpenCV, which decodes on the CPU, warns of every grey image unless it is told not to.
_QUIET = ("OPENCV_LOG_LEVEL", "ERROR")
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
        operator = "mixed" if device == "gpu" else "cpu"
        options = pipeline_options(batch, device, device_id)
        options["num_threads"] = min(_MOST_THREADS, options["num_threads"])
        os.environ.setdefault(*_QUIET)  # read when DALI loads OpenCV
        try:
            self._stage = Stage(lambda: _decode_pipeline(operator, **options))
        except RuntimeError as error:
            raise DecodingError(_first_line(error)) from error

    def decode(self, frames: Sequence[bytes]) -> list[Words]:
        """The samples of each frame, shape (rows, columns), bit for bit as they were encoded.

        From one thread at a time.

        Raises
        ------
        DecodingError
            When one frame of them cannot be decoded; the next call is not touched by it.
        """
        try:
            decoded = self._stage.run(frame=[np.frombuffer(one, np.uint8) for one in frames])
        except RuntimeError as error:
            raise DecodingError(_first_line(error)) from error
        return [samples[..., 0] for samples in decoded]


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
