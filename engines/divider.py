"""The parts of the lungs of a whole scan, lobes or segments: found once, at low resolution."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from engines.choice import Wanted, load_engine
from engines.fissures import follow_fissures
from engines.models import ModelError, ModelSpec
from engines.parts import DIVIDING
from engines.region import Places, Region, box_of
from engines.runtimes import Runtime
from engines.warm_up import check_warm_up


class Divider:
    """A model that divides the lungs, on one runtime, warmed up and checked.

    Parameters
    ----------
    spec
        A model of role "lobes" or "segments".
    runtime
        What executes it.
    precision
        See :class:`engines.segmenter.Segmenter`.

    Raises
    ------
    ModelError
        When the model has another role, an artefact is not the recorded one, or the
        warm-up answer is wrong.
    RuntimeUnavailableError
        When the runtime cannot run here.
    """

    def __init__(self, spec: ModelSpec, runtime: Runtime, precision: Wanted = None) -> None:
        if spec.role not in DIVIDING:
            raise ModelError(f"{spec.name}: a {spec.role} model does not divide the lungs")
        self.engine = load_engine(spec, runtime, precision)
        check_warm_up(self.engine)

    @property
    def role(self) -> str:
        """What it divides the lungs into: "lobes" or "segments"."""
        return self.engine.spec.role

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the labels from 1 on."""
        return self.engine.spec.parts

    def divide(
        self,
        planes: npt.NDArray[np.float32],
        lung: npt.NDArray[np.bool_],
        positions_mm: npt.NDArray[np.float64],
        pixel_mm: tuple[float, float],
    ) -> npt.NDArray[np.uint8]:
        """The part of every lung pixel.

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
        Shape of `planes`: 0 outside the lung, from 1 as :attr:`parts` counts; every
        pixel of lung has a part. The same input gives the same answer.

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
        if spec.role == "lobes":
            probabilities = follow_fissures(probabilities, values > 0)
        box = box_of(lung)
        slices, rows, columns = (place[part] for place, part in zip(places, box, strict=True))
        found = region.interpolate(probabilities, (slices, rows, columns))
        for label, of_slice, maps in zip(labels[box], lung[box], found, strict=True):
            np.multiply(_most_likely(maps), of_slice, out=label)
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


def _most_likely(maps: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Label of the map that is largest at each place, the first of equals."""
    largest = maps[0]
    labels = np.ones_like(largest, np.uint8)
    for label, values in enumerate(maps[1:], start=2):
        np.maximum(labels, (values > largest) * np.uint8(label), out=labels)
        largest = np.maximum(largest, values)
    return labels


def load_dividers(
    specs: Sequence[ModelSpec], runtime: Runtime, roles: Sequence[str] = DIVIDING
) -> tuple[Divider, ...]:
    """The models among those of a repository that divide the lungs; at most one a role.

    Parameters
    ----------
    roles
        Those wanted, in the order of the answer; there may be no model of some.

    Raises
    ------
    ModelError
        When a role has several, or see :class:`Divider`.
    RuntimeUnavailableError
        When the runtime cannot run here.
    """
    found = [[spec for spec in specs if spec.role == role] for role in roles]
    for role, several in zip(roles, found, strict=True):
        if len(several) > 1:
            names = [spec.name for spec in several]
            raise ModelError(f"one {role} model is enough, found {names}")
    return tuple(Divider(spec, runtime) for one in found for spec in one)
