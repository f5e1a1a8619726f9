"""HU to network input that stays where DALI made it."""

from __future__ import annotations

from collections.abc import Sequence

from engines.device.planes import DevicePlane, PlaneArena
from engines.preprocess import Image, chunks, preparing_inputs, preparing_stage
from engines.runtimes.tensorrt.faults import named_fault


class DevicePreparer:
    """:class:`engines.preprocess.Preparer` with planes that stay on the device.

    DALI hands its output over on the device's own stream, so nobody waits; the planes are
    copied out of DALI's memory, which it uses again, by the device itself.

    Parameters
    ----------
    arena
        Where the planes go; DALI works on its device.
    window_hu, batch
        Those of the Preparer.
    """

    def __init__(self, arena: PlaneArena, window_hu: tuple[float, float], batch: int) -> None:
        self._arena, self._device, self._batch = arena, arena.device, batch
        self._stage = preparing_stage(
            window_hu,
            arena.size,
            batch,
            "cpu" if self._device.ordinal is None else "gpu",
            self._device.ordinal,
        )

    def prepare(self, images: Sequence[Image]) -> list[DevicePlane]:
        """Prepared planes, one an image.

        Raises
        ------
        DeviceError
            When the device fails.
        """
        with self._device.working():
            return [
                plane
                for chunk in chunks(images, self._batch)
                for plane in self._prepare_chunk(chunk)
            ]

    def _prepare_chunk(self, images: Sequence[Image]) -> list[DevicePlane]:
        inputs = preparing_inputs(images, self._arena.size)
        try:
            output = self._stage.output(self._device.stream, **inputs)
        except RuntimeError as error:
            if _is_of_cuda(error):
                raise named_fault(f"DALI on {self._device.name}", error) from error
            raise
        planes = self._arena.take(len(images))
        for plane, made in zip(planes, output, strict=True):
            self._device.copy(plane.address, int(made.data_ptr()), plane.nbytes)
        return planes


def _is_of_cuda(error: RuntimeError) -> bool:
    return "cuda" in str(error).lower()
