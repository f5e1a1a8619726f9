"""The five lobes of a whole scan, found once, at low resolution."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from engines.choice import Wanted, load_engine
from engines.models import ModelError, ModelSpec
from engines.region import Places, Region
from engines.runtimes import Runtime
from engines.warm_up import check_warm_up

#: By label, the first one is 1.
LOBE_NAMES = (
    "right_upper_lobe",
    "right_middle_lobe",
    "right_lower_lobe",
    "left_upper_lobe",
    "left_lower_lobe",
)


class LobeFinder:
    """A lobes model on one runtime, warmed up and checked.

    Parameters
    ----------
    spec
        A model of role "lobes".
    runtime
        What executes it.
    precision
        See :class:`engines.segmenter.Segmenter`.

    Raises
    ------
    ModelError
        When the model does not give a map a lobe, an artefact is not the
        recorded one, or the warm-up answer is wrong.
    RuntimeUnavailableError
        When the runtime cannot run here.
    """

    def __init__(self, spec: ModelSpec, runtime: Runtime, precision: Wanted = None) -> None:
        if spec.role != "lobes" or spec.maps != len(LOBE_NAMES):
            raise ModelError(f"{spec.name}: no lobes model with {len(LOBE_NAMES)} maps")
        self.engine = load_engine(spec, runtime, precision)
        check_warm_up(self.engine)

    def find(
        self,
        planes: npt.NDArray[np.float32],
        lung: npt.NDArray[np.bool_],
        positions_mm: npt.NDArray[np.float64],
        pixel_mm: tuple[float, float],
    ) -> npt.NDArray[np.uint8]:
        """The lobe of every lung pixel.

        Parameters
        ----------
        planes
            Slices in the standard view, foot to head, shape (slices, rows, columns):
            values in [0, 1] by the models' shared window. Any resolution will do; a
            region's voxels have 2 to 3 mm.
        lung
            Shape of `planes`.
        positions_mm
            Where the slices lie, ascending; distances may differ.
        pixel_mm
            Distance between rows, and between columns.

        Returns
        -------
        Shape of `planes`: 0 outside the lung, 1 to 5 as :data:`LOBE_NAMES` counts;
        every pixel of lung has a lobe. The same input gives the same answer.

        Raises
        ------
        ValueError
            When shapes do not match or positions do not ascend.
        DeviceError
            When the device fails.
        """
        places = _places(planes, lung, positions_mm, pixel_mm)
        labels = np.zeros(lung.shape, np.uint8)
        if not lung.any():
            return labels
        spec = self.engine.spec
        region = Region.around(lung, places, (spec.planes, *spec.size))
        values, _ = region.sample(planes, lung, places)
        (answer,) = self.engine.executable.run(values[None])
        probabilities = answer.reshape(spec.maps, spec.planes, *spec.size)
        box = _box(lung)
        slices, rows, columns = (place[part] for place, part in zip(places, box, strict=True))
        found = region.interpolate(probabilities, (slices, rows, columns))
        labels[box] = np.where(lung[box], found.argmax(axis=0) + 1, 0)
        return labels


def _places(
    planes: npt.NDArray[np.float32],
    lung: npt.NDArray[np.bool_],
    positions_mm: npt.NDArray[np.float64],
    pixel_mm: tuple[float, float],
) -> tuple[Places, Places, Places]:
    """Where slices, rows and columns lie, mm."""
    if planes.ndim != 3 or planes.shape != lung.shape:
        raise ValueError(f"planes {planes.shape} and lung {lung.shape} must be slices of one grid")
    slices = np.asarray(positions_mm, np.float64)
    if slices.shape != planes.shape[:1]:
        raise ValueError(f"{len(planes)} slices need as many positions, not {slices.shape}")
    if not (np.diff(slices) > 0).all():
        raise ValueError("positions of the slices must ascend")
    rows, columns = (
        mm * np.arange(size) for mm, size in zip(pixel_mm, planes.shape[1:], strict=True)
    )
    return slices, rows, columns


def _box(lung: npt.NDArray[np.bool_]) -> tuple[slice, slice, slice]:
    """The smallest box that holds the lung."""
    along = [np.asarray(lung.any(axis=others)) for others in ((1, 2), (0, 2), (0, 1))]
    first, second, third = (
        slice(int(found.argmax()), len(found) - int(found[::-1].argmax())) for found in along
    )
    return first, second, third


def load_lobes(specs: Sequence[ModelSpec], runtime: Runtime) -> LobeFinder | None:
    """The lobes model among those of a repository, or None where there is none.

    Raises
    ------
    ModelError
        When there are several, or see :class:`LobeFinder`.
    RuntimeUnavailableError
        When the runtime cannot run here.
    """
    found = [spec for spec in specs if spec.role == "lobes"]
    if len(found) > 1:
        raise ModelError(f"one lobes model is enough, found {[spec.name for spec in found]}")
    return LobeFinder(found[0], runtime) if found else None
