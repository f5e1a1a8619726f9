"""HU to network input that stays where DALI made it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from engines.device.planes import DevicePlane, PlaneArena
from engines.preprocess import Image, chunks, preparing_inputs, preparing_stage
from engines.runtimes.tensorrt.faults import named_fault
from engines.stage import Device, is_of_the_gpu


class DevicePreparer:
    """:class:`engines.preprocess.Preparer` with planes that stay on the device.

    DALI hands its output over on the device's own stream, so nobody waits. The device copies
    the planes out of DALI's memory, which DALI gets back when that has happened.

    Parameters
    ----------
    arena
        Where the planes go; DALI works on its device.
    window_hu, batch
        Those of the Preparer.

    Raises
    ------
    DeviceError
        When DALI cannot use the device.
    """

    def __init__(self, arena: PlaneArena, window_hu: tuple[float, float], batch: int) -> None:
        self._arena, self._device, self._batch = arena, arena.device, batch
        kind: Device = "cpu" if self._device.ordinal is None else "gpu"
        with self._named():
            self._stage = preparing_stage(window_hu, arena.size, batch, kind, self._device.ordinal)

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
        inputs = preparing_inputs([[image] for image in images], self._arena.size)
        with self._named():
            output = self._stage.output(self._device.stream, **inputs)
        self._device.hold(output)
        planes = self._arena.take(len(images))
        for place, plane in enumerate(planes):
            self._device.copy(plane.address, output[place].data_ptr(), plane.nbytes)
        return planes

    @contextmanager
    def _named(self) -> Iterator[None]:
        """What DALI says of its GPU is a fault of the device, else of what it was given."""
        try:
            yield
        except (RuntimeError, MemoryError) as error:
            if is_of_the_gpu(error):
                raise named_fault(f"DALI on {self._device.name}", error) from error
            raise
