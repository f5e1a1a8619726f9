"""Lung and lesion masks of slices: prepare, run both networks, restore.

One prepared plane serves every model, so all models of a repository must share
window and size. The lesion network does not run where there is no lung.

There are two ways: planes lie on the host, or in the memory of the GPU that the engines
are on, and then do not leave it.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from engines.choice import Wanted, load_engine
from engines.device.check import check_device_path
from engines.device.path import DevicePath
from engines.device.planes import DevicePlane
from engines.host_path import HostPath
from engines.models import ModelError, ModelSpec
from engines.preprocess import Image, Plane
from engines.requests import Answer, SegmentRequest, SlabPath, SliceMasks
from engines.runtimes import (
    DeviceExecutable,
    Runtime,
    RuntimeUnavailableError,
)
from engines.stage import Device
from engines.warm_up import check_warm_up

__all__ = ["Answer", "Prepared", "SegmentRequest", "Segmenter", "SliceMasks"]

#: Models of other roles are passed over.
_ROLES = ("lung", "lesion")

#: A prepared plane, where the segmenter's memory is.
Prepared = Plane | DevicePlane


class Segmenter:
    """The models of a repository on one runtime, warmed up and checked.

    Parameters
    ----------
    specs
        One lung model and at least one lesion model.
    runtime
        What executes them.
    precision
        "fp32", "fp16", "int8", or None for the best one that each model has and that
        may be served (:func:`engines.choice.load_engine`); or one of these by model name.
        An artefact, or an earlier choice, in place of a precision is taken as it is.
    batch
        The largest number of slices worked on at once.
    preprocess_device
        Where DALI runs and planes lie: "gpu" is that of the engines. None: there, when the
        engines take planes there; else the CPU.

    Raises
    ------
    ModelError
        When a role is missing, the models do not share window and size, an
        artefact is not the recorded one, or a warm-up answer is wrong.
    RuntimeUnavailableError
        When the runtime cannot run here, or takes no planes on a GPU though they shall
        lie there.
    DeviceError
        When the device fails, or finds other masks than the CPU.
    """

    def __init__(
        self,
        specs: Sequence[ModelSpec],
        runtime: Runtime,
        precision: Wanted | Mapping[str, Wanted] = None,
        batch: int = 16,
        preprocess_device: Device | None = None,
    ) -> None:
        self.batch = batch
        specs = [spec for spec in specs if spec.role in _ROLES]
        self._lung = _only_lung(specs)
        _check_shared_input(specs)
        engines = [load_engine(spec, runtime, _wanted(spec, precision)) for spec in specs]
        self.engines = {engine.spec.name: engine for engine in engines}
        for engine in engines:
            check_warm_up(engine)
        self._path: SlabPath[Any] = self._choose_path(preprocess_device)

    @property
    def lung(self) -> ModelSpec:
        return self._lung

    @property
    def lesion_models(self) -> list[ModelSpec]:
        return [engine.spec for engine in self.engines.values() if engine.spec.role == "lesion"]

    @property
    def memory(self) -> Hashable:
        """Where its planes lie: None for the host. Planes of another memory are not for it."""
        return self._path.memory

    def prepare(self, images: Sequence[Image]) -> Sequence[Prepared]:
        """Network input of some slices, one plane an image; see :class:`Preparer`."""
        return self._path.prepare(images)

    def segment(self, requests: Sequence[SegmentRequest[Any]]) -> list[SliceMasks]:
        """Masks of some slabs; each depends on its own slab alone."""
        return self._path.segment(requests)

    def answer_block(self, model: str, planes: Sequence[Sequence[Prepared]]) -> Answer[Prepared]:
        """Lesion probabilities of the planes of a block, each the mean of some slices.

        Parameters
        ----------
        model
            Name of a block model.
        planes
            The prepared slices of each plane, which are summed in their order.
        """
        return self._path.answer_block(model, planes)

    def blend(self, weights: Sequence[float], planes: Sequence[Prepared]) -> Prepared:
        """The weighted sum of some probabilities, in their order."""
        blended: Prepared = self._path.blend(weights, planes)
        return blended

    def _choose_path(self, wanted: Device | None) -> SlabPath[Any]:
        on_device = {
            name: (engine.spec, engine.executable)
            for name, engine in self.engines.items()
            if isinstance(engine.executable, DeviceExecutable)
        }
        if wanted == "cpu" or (wanted is None and len(on_device) < len(self.engines)):
            return HostPath(self.engines, self._lung.name, self.batch)
        if len(on_device) < len(self.engines):
            runtime = self.engines[self._lung.name].runtime
            raise RuntimeUnavailableError(f"{runtime} does not take planes on a GPU")
        path = DevicePath(on_device, self._lung.name, self.batch)
        check_device_path(path, self.engines[self._lung.name])
        return path


def _wanted(spec: ModelSpec, precision: Wanted | Mapping[str, Wanted]) -> Wanted:
    return precision.get(spec.name) if isinstance(precision, Mapping) else precision


def _only_lung(specs: Sequence[ModelSpec]) -> ModelSpec:
    lungs = [spec for spec in specs if spec.role == "lung"]
    if len(lungs) != 1 or lungs[0].planes != 1:
        raise ModelError(f"one lung model with one plane is needed, found {len(lungs)}")
    if not any(spec.role == "lesion" for spec in specs):
        raise ModelError("no lesion model was found")
    return lungs[0]


def _check_shared_input(specs: Sequence[ModelSpec]) -> None:
    inputs = {(spec.window_hu, spec.size) for spec in specs}
    if len(inputs) != 1:
        raise ModelError(f"all models must share window and size, found {sorted(inputs)}")
