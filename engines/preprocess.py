"""Window and resample on NVIDIA DALI: HU to planes, and probabilities back to masks.

One definition for both devices, so what runs without a GPU is what runs on one.
Images, and the channels of one, are worked on one by one: a result never depends on what
shares its batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
from nvidia.dali import fn, pipeline_def, types

from engines.stage import Device, Stage, pipeline_options

Plane = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
T = TypeVar("T")

_SIGN_BIT = np.uint16(0x8000)
_LOWEST_HU = -32768
#: Planes that are resampled as one image of so many channels: on a CPU that takes half as long.
_CHANNELS: dict[Device, int] = {"cpu": 4, "gpu": 1}


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


class Part(NamedTuple):
    """A rectangle of a plane, in pixels."""

    top: int
    left: int
    rows: int
    columns: int


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
        "cpu", or "gpu" with the device's number (0 unless told).
    """

    def __init__(
        self,
        window_hu: tuple[float, float],
        size: tuple[int, int],
        batch: int = 16,
        device: Device = "cpu",
        device_id: int | None = None,
    ) -> None:
        self._size, self._batch, self._channels = size, batch, _CHANNELS[device]
        self._stage = preparing_stage(window_hu, size, batch, device, device_id)

    def prepare(self, images: Sequence[Image]) -> list[Plane]:
        """Prepared planes, float32 in [0, 1], shape `size`, one an image."""
        groups = _alike(images, lambda image: (image.frame, image.hu.shape), self._channels)
        return [
            plane.copy()  # or each of them, wherever it is kept, would keep its whole group
            for chunk in chunks(groups, self._batch)
            for group in self._stage.run(**preparing_inputs(chunk, self._size))
            for plane in group
        ]


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
        self._threshold, self._batch, self._channels = threshold, batch, _CHANNELS[device]
        options = pipeline_options(batch, device, device_id)
        self._stage = Stage(lambda: _restore_pipeline(device, threshold, **options))

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
        kinds = [(frame, plane.shape) for frame, plane in zip(frames, probabilities, strict=True)]
        groups = _alike(reaching, kinds.__getitem__, self._channels)
        for chunk in chunks(groups, self._batch):
            stacked = [
                np.stack([_unpadded(probabilities[index], frames[index]) for index in group], -1)
                for group in chunk
            ]
            sizes = [(frames[group[0]].rows, frames[group[0]].columns) for group in chunk]
            native = [np.array(size, np.float32) for size in sizes]
            restored = self._stage.run(probability=stacked, native=native)
            for index, mask in zip(chain(*chunk), chain(*restored), strict=True):
                masks[index] = mask
        return masks


def preparing_stage(
    window_hu: tuple[float, float],
    size: tuple[int, int],
    batch: int,
    device: Device,
    device_id: int | None,
) -> Stage:
    """The pipeline of :class:`Preparer`, which has the same parameters."""
    options, table = pipeline_options(batch, device, device_id), _window_table(window_hu)
    return Stage(lambda: _prepare_pipeline(device, table, size, **options))


def preparing_inputs(
    groups: Sequence[Sequence[Image]], size: tuple[int, int]
) -> dict[str, list[npt.NDArray[Any]]]:
    """What that pipeline is fed for a batch of groups, each of images with one frame."""
    return {
        "hu": [_unsigned([image.hu for image in group]) for group in groups],
        "fitted": [np.array(group[0].frame.fitted(size), np.float32) for group in groups],
    }


@pipeline_def  # type: ignore[untyped-decorator]
def _prepare_pipeline(device: Device, table: list[float], size: tuple[int, int]) -> Any:
    hu = fn.external_source(name="hu", dtype=types.UINT16, ndim=3, layout="HWC")
    fitted = fn.external_source(name="fitted", dtype=types.FLOAT, ndim=1)
    if device == "gpu":
        hu = hu.gpu()
    windowed = fn.lookup_table(hu, keys=list(range(len(table))), values=table, dtype=types.FLOAT)
    resized = fn.resize(windowed, size=fitted, interp_type=types.INTERP_LINEAR, antialias=True)
    cropped = fn.crop(
        resized, crop_h=size[0], crop_w=size[1], out_of_bounds_policy="pad", fill_values=0.0
    )
    return fn.transpose(cropped, perm=[2, 0, 1])


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
    return fn.transpose(resized >= threshold, perm=[2, 0, 1])


def _window_table(window_hu: tuple[float, float]) -> list[float]:
    """Windowed value of every int16, lowest first."""
    low, high = window_hu
    hu = np.arange(65536, dtype=np.float64) + _LOWEST_HU
    table: list[float] = np.clip((hu - low) / (high - low), 0.0, 1.0).tolist()
    return table


def _unsigned(planes: Sequence[npt.NDArray[np.int16]]) -> npt.NDArray[np.uint16]:
    """int16 as the index into the window table, shape (rows, columns, planes)."""
    return np.ascontiguousarray(np.stack(planes, axis=-1)).view(np.uint16) ^ _SIGN_BIT


def image_part(size: tuple[int, int], frame: Frame) -> Part:
    """The part of a prepared plane that shows the image, without the padding.

    DALI centres a crop beyond the image and puts the odd row or column of
    padding first.
    """
    rows, columns = frame.fitted(size)
    return Part((size[0] - rows + 1) // 2, (size[1] - columns + 1) // 2, rows, columns)


def _unpadded(plane: Plane, frame: Frame) -> Plane:
    part = image_part((plane.shape[0], plane.shape[1]), frame)
    rows = slice(part.top, part.top + part.rows)
    return np.ascontiguousarray(plane[rows, part.left : part.left + part.columns])


def _alike(items: Sequence[T], kind: Callable[[T], object], most: int) -> list[Sequence[T]]:
    """Neighbouring items of one kind, at most so many together."""
    return [group for _, run in groupby(items, kind) for group in chunks(list(run), most)]


def chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
