"""Lung and lesion masks of slices: prepare, run both networks, restore.

One prepared plane serves every model, so all models of a repository must share
window and size. The lesion network does not run where there is no lung.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engines.models import Artefact, ModelError, ModelSpec
from engines.preprocess import Device, Frame, Image, Mask, Plane, Preparer, Restorer
from engines.runtimes import Runtime, choose_artefact
from engines.warm_up import Engine, check_warm_up

#: A precision, or an artefact itself; None for the preferred one.
Wanted = str | Artefact | None


@dataclass(frozen=True, slots=True, eq=False)
class SegmentRequest:
    """One slab.

    Parameters
    ----------
    model
        Name of the lesion model.
    planes
        Foot to head, the target in their middle.
    frame
        The target's grid.
    blended
        Makes the lesion probability of the target from a block model's answers,
        asked only where there is lung; None for models that see `planes`.
    """

    model: str
    planes: tuple[Plane, ...]
    frame: Frame
    blended: Callable[[], Plane] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class SliceMasks:
    """Masks of one slice in the standard view, on its own grid; lesion lies inside lung."""

    lung: Mask
    lesion: Mask


class Segmenter:
    """The models of a repository on one runtime, warmed up and checked.

    Parameters
    ----------
    specs
        One lung model and at least one lesion model.
    runtime
        What executes them.
    precision
        "fp32", "fp16", "int8", or None for the runtime's preferred one that
        each model has and that passed its gate; or one of these by model name.
        An artefact in place of a precision is taken as it is, gated or not.
    batch
        The largest number of slices worked on at once.
    preprocess_device
        Where DALI runs.

    Raises
    ------
    ModelError
        When a role is missing, the models do not share window and size, an
        artefact is not the recorded one, or a warm-up answer is wrong.
    RuntimeUnavailableError
        When the runtime cannot run here.
    """

    def __init__(
        self,
        specs: Sequence[ModelSpec],
        runtime: Runtime,
        precision: Wanted | Mapping[str, Wanted] = None,
        batch: int = 16,
        preprocess_device: Device = "cpu",
    ) -> None:
        self.batch = batch
        self._lung = _only_lung(specs)
        window, size = _shared_input(specs)
        engines = [_load(spec, runtime, _wanted(spec, precision)) for spec in specs]
        self.engines = {engine.spec.name: engine for engine in engines}
        self._preparer = Preparer(window, size, batch, preprocess_device)
        self._restorers = {
            spec.name: Restorer(spec.threshold, batch, preprocess_device) for spec in specs
        }
        for engine in engines:
            check_warm_up(engine)

    @property
    def lung(self) -> ModelSpec:
        return self._lung

    @property
    def lesion_models(self) -> list[ModelSpec]:
        return [engine.spec for engine in self.engines.values() if engine.spec.role == "lesion"]

    def prepare(self, images: Sequence[Image]) -> list[Plane]:
        """Network input of some slices, one plane an image; see :class:`Preparer`."""
        return self._preparer.prepare(images)

    def segment(self, requests: Sequence[SegmentRequest]) -> list[SliceMasks]:
        """Masks of some slabs; each depends on its own slab alone."""
        frames = [request.frame for request in requests]
        centres = [request.planes[len(request.planes) // 2] for request in requests]
        probabilities = self._probabilities(self._lung.name, [(centre,) for centre in centres])
        lungs = self._restorers[self._lung.name].restore(probabilities, frames)
        lesions = [np.zeros_like(lung) for lung in lungs]
        for name in sorted({request.model for request in requests}):
            chosen = [
                index
                for index, request in enumerate(requests)
                if request.model == name and lungs[index].any()
            ]
            probabilities = self._lesion_probabilities(name, [requests[i] for i in chosen])
            found = self._restorers[name].restore(probabilities, [frames[i] for i in chosen])
            for index, mask in zip(chosen, found, strict=True):
                lesions[index] = mask & lungs[index]
        return [SliceMasks(*masks) for masks in zip(lungs, lesions, strict=True)]

    def answer_block(self, model: str, planes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Lesion probabilities of every plane of a block, both of shape (planes, rows, columns)."""
        answer: npt.NDArray[np.float32] = self.engines[model].executable.run(planes[None])[0]
        return answer

    def _lesion_probabilities(self, model: str, requests: Sequence[SegmentRequest]) -> list[Plane]:
        if self.engines[model].spec.form == "neighbours":
            return self._probabilities(model, [request.planes for request in requests])
        return [_blended(request) for request in requests]

    def _probabilities(self, model: str, slabs: Sequence[tuple[Plane, ...]]) -> list[Plane]:
        if not slabs:
            return []
        stacked = np.stack([np.stack(planes) for planes in slabs])
        return list(self.engines[model].executable.run(stacked))


def _blended(request: SegmentRequest) -> Plane:
    if request.blended is None:
        raise ValueError(f"{request.model} answers blocks, it was asked about neighbours")
    return request.blended()


def _wanted(spec: ModelSpec, precision: Wanted | Mapping[str, Wanted]) -> Wanted:
    return precision.get(spec.name) if isinstance(precision, Mapping) else precision


def _load(spec: ModelSpec, runtime: Runtime, wanted: Wanted) -> Engine:
    artefact = wanted if isinstance(wanted, Artefact) else choose_artefact(spec, runtime, wanted)
    return Engine(spec, artefact, runtime.name, runtime.device(), runtime.load(spec, artefact))


def _only_lung(specs: Sequence[ModelSpec]) -> ModelSpec:
    lungs = [spec for spec in specs if spec.role == "lung"]
    if len(lungs) != 1 or lungs[0].planes != 1:
        raise ModelError(f"one lung model with one plane is needed, found {len(lungs)}")
    if not any(spec.role == "lesion" for spec in specs):
        raise ModelError("no lesion model was found")
    return lungs[0]


def _shared_input(
    specs: Sequence[ModelSpec],
) -> tuple[tuple[float, float], tuple[int, int]]:
    inputs = {(spec.window_hu, spec.size) for spec in specs}
    if len(inputs) != 1:
        raise ModelError(f"all models must share window and size, found {sorted(inputs)}")
    return next(iter(inputs))
