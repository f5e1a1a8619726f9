"""Window and resample on NVIDIA DALI: HU to planes, and probabilities back to masks.

One definition for both devices, so what runs without a GPU is what runs on one.
Samples are worked on one by one: a result never depends on what shares its batch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from nvidia.dali import fn, pipeline_def, types
from nvidia.dali.pipeline import Pipeline

Device = Literal["cpu", "gpu"]
Plane = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

_SIGN_BIT = np.uint16(0x8000)
_LOWEST_HU = -32768


@dataclass(frozen=True, slots=True)
class Frame:
    """The pixel grid of an image in the standard view.

    Parameters
    ----------
    rows, columns
        Matrix.
    row_mm, column_mm
        Distance between rows, and between columns; only their ratio matters here.
    """

    rows: int
    columns: int
    row_mm: float = 1.0
    column_mm: float = 1.0

    def fitted(self, size: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns after the whole field of view is fitted into `size`, aspect kept."""
        height, width = self.rows * self.row_mm, self.columns * self.column_mm
        scale = min(size[0] / height, size[1] / width)
        return max(1, round(height * scale)), max(1, round(width * scale))


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """HU of one slice in the standard view (front on top, patient's right on the left).

    `hu` is int16, shape (frame.rows, frame.columns).
    """

    hu: npt.NDArray[np.int16]
    frame: Frame


class Preparer:
    """HU planes to network input: window, fit the field of view, pad with air.

    Parameters
    ----------
    window_hu
        HU that map to 0 and to 1; clipped beyond.
    size
        Rows and columns of a prepared plane.
    batch
        The largest batch that one DALI run takes.
    device, device_id
        "cpu", or "gpu" with the device's number.
    """

    def __init__(
        self,
        window_hu: tuple[float, float],
        size: tuple[int, int],
        batch: int = 16,
        device: Device = "cpu",
        device_id: int | None = None,
    ) -> None:
        self._size, self._batch = size, batch
        options = _options(batch, device_id if device == "gpu" else None)
        table = _window_table(window_hu)
        self._stage = _Stage(lambda: _prepare_pipeline(device, table, size, **options))

    def prepare(self, images: Sequence[Image]) -> list[Plane]:
        """Prepared planes, float32 in [0, 1], shape `size`, one an image."""
        return [
            plane for chunk in _chunks(images, self._batch) for plane in self._prepare_chunk(chunk)
        ]

    def _prepare_chunk(self, images: Sequence[Image]) -> list[Plane]:
        sizes = [image.frame.fitted(self._size) for image in images]
        planes = self._stage.run(
            hu=[_unsigned(image.hu) for image in images],
            fitted=[np.array(size, np.float32) for size in sizes],
        )
        return [plane[..., 0] for plane in planes]


class Restorer:
    """Probabilities of a plane to a mask on the slice's own grid.

    Parameters are those of :class:`Preparer`; `threshold` is the probability
    from which a pixel belongs to the mask.
    """

    def __init__(
        self,
        threshold: float,
        batch: int = 16,
        device: Device = "cpu",
        device_id: int | None = None,
    ) -> None:
        self._threshold, self._batch = threshold, batch
        options = _options(batch, device_id if device == "gpu" else None)
        self._stage = _Stage(lambda: _restore_pipeline(device, threshold, **options))

    def restore(self, probabilities: Sequence[Plane], frames: Sequence[Frame]) -> list[Mask]:
        """Masks, shape (frame.rows, frame.columns), one a plane.

        A plane that nowhere reaches the threshold gives an empty mask without
        being resampled: interpolation cannot exceed its largest value.
        """
        masks = [np.zeros((frame.rows, frame.columns), np.bool_) for frame in frames]
        reaching = [
            index
            for index, plane in enumerate(probabilities)
            if float(plane.max()) >= self._threshold
        ]
        for chunk in _chunks(reaching, self._batch):
            planes = [_unpadded(probabilities[index], frames[index]) for index in chunk]
            restored = self._restore_chunk(planes, [frames[index] for index in chunk])
            for index, mask in zip(chunk, restored, strict=True):
                masks[index] = mask
        return masks

    def _restore_chunk(self, planes: Sequence[Plane], frames: Sequence[Frame]) -> list[Mask]:
        masks = self._stage.run(
            probability=[plane[..., None] for plane in planes],
            native=[np.array([frame.rows, frame.columns], np.float32) for frame in frames],
        )
        return [mask[..., 0] for mask in masks]


class _Stage:
    """A DALI pipeline that is built anew when a run fails.

    What was fed to a run that failed would otherwise be the input of the next one.
    """

    def __init__(self, define: Callable[[], Pipeline]) -> None:
        self._define = define
        self._pipeline = self._built()

    def run(self, **inputs: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """Outputs of one batch; each input is a list with one array a sample."""
        try:
            for name, samples in inputs.items():
                self._pipeline.feed_input(name, samples)
            (output,) = self._pipeline.run()
        except Exception:
            self._pipeline = self._built()
            raise
        on_cpu = output.as_cpu() if hasattr(output, "as_cpu") else output
        return [np.array(on_cpu.at(index)) for index in range(len(on_cpu))]

    def _built(self) -> Pipeline:
        pipeline = self._define()
        pipeline.build()
        return pipeline


@pipeline_def  # type: ignore[untyped-decorator]
def _prepare_pipeline(device: Device, table: list[float], size: tuple[int, int]) -> Any:
    hu = fn.external_source(name="hu", dtype=types.UINT16, ndim=3, layout="HWC")
    fitted = fn.external_source(name="fitted", dtype=types.FLOAT, ndim=1)
    if device == "gpu":
        hu = hu.gpu()
    windowed = fn.lookup_table(hu, keys=list(range(len(table))), values=table, dtype=types.FLOAT)
    resized = fn.resize(windowed, size=fitted, interp_type=types.INTERP_LINEAR, antialias=True)
    return fn.crop(
        resized, crop_h=size[0], crop_w=size[1], out_of_bounds_policy="pad", fill_values=0.0
    )


@pipeline_def  # type: ignore[untyped-decorator]
def _restore_pipeline(device: Device, threshold: float) -> Any:
    probability: Any = fn.external_source(
        name="probability", dtype=types.FLOAT, ndim=3, layout="HWC"
    )
    native = fn.external_source(name="native", dtype=types.FLOAT, ndim=1)
    if device == "gpu":
        probability = probability.gpu()
    resized: Any = fn.resize(
        probability, size=native, interp_type=types.INTERP_LINEAR, antialias=True
    )
    return resized >= threshold


def _options(batch: int, device_id: int | None) -> dict[str, Any]:
    """One run at a time, on as many threads as there are cores."""
    return {
        "batch_size": batch,
        "num_threads": len(os.sched_getaffinity(0)),
        "device_id": device_id,
        "prefetch_queue_depth": 1,
        "exec_pipelined": False,
        "exec_async": False,
    }


def _window_table(window_hu: tuple[float, float]) -> list[float]:
    """Windowed value of every int16, lowest first."""
    low, high = window_hu
    hu = np.arange(65536, dtype=np.float64) + _LOWEST_HU
    table: list[float] = np.clip((hu - low) / (high - low), 0.0, 1.0).tolist()
    return table


def _unsigned(hu: npt.NDArray[np.int16]) -> npt.NDArray[np.uint16]:
    """int16 as the index into the window table, shape (rows, columns, 1)."""
    return (np.ascontiguousarray(hu).view(np.uint16) ^ _SIGN_BIT)[..., None]


def _unpadded(plane: Plane, frame: Frame) -> Plane:
    """The part of a prepared plane that shows the image, without the padding.

    DALI centres a crop beyond the image and puts the odd row or column of
    padding first.
    """
    rows, columns = frame.fitted((plane.shape[0], plane.shape[1]))
    top, left = (plane.shape[0] - rows + 1) // 2, (plane.shape[1] - columns + 1) // 2
    return np.ascontiguousarray(plane[top : top + rows, left : left + columns])


def _chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
