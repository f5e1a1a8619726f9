"""The way of slabs whose planes lie on the host."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from itertools import chain

import numpy as np

from engines.preprocess import Image, Plane, Preparer, Restorer
from engines.requests import Answer, SegmentRequest, SliceMasks
from engines.warm_up import Engine


class HostPath:
    """DALI on the CPU, and engines that are given arrays and answer with arrays.

    Parameters
    ----------
    engines
        By the name of their model.
    lung
        Name of the lung model.
    batch
        The largest number of slices worked on at once.
    """

    def __init__(self, engines: Mapping[str, Engine], lung: str, batch: int) -> None:
        self._engines, self._lung = engines, lung
        spec = engines[lung].spec
        self._preparer = Preparer(spec.window_hu, spec.size, batch)
        self._restorers = {
            name: Restorer(engine.spec.threshold, batch) for name, engine in engines.items()
        }

    @property
    def memory(self) -> Hashable:
        return None

    def prepare(self, images: Sequence[Image]) -> list[Plane]:
        return self._preparer.prepare(images)

    def segment(self, requests: Sequence[SegmentRequest[Plane]]) -> list[SliceMasks]:
        frames = [request.frame for request in requests]
        probabilities = self._probabilities(self._lung, [(request.centre,) for request in requests])
        lungs = self._restorers[self._lung].restore(probabilities, frames)
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

    def answer_block(self, model: str, planes: Sequence[Sequence[Plane]]) -> Answer[Plane]:
        block = np.stack([np.mean(slices, 0) for slices in planes])
        answer: Answer[Plane] = self._engines[model].executable.run(block[None])[0]
        return answer

    def blend(self, weights: Sequence[float], planes: Sequence[Plane]) -> Plane:
        total: Plane = np.zeros((), np.float32)
        for weight, plane in zip(weights, planes, strict=True):
            total = total + np.float32(weight) * plane
        return total

    def _lesion_probabilities(
        self, model: str, requests: Sequence[SegmentRequest[Plane]]
    ) -> list[Plane]:
        if self._engines[model].spec.form == "neighbours":
            return self._probabilities(model, [request.planes for request in requests])
        return [request.blend() for request in requests]

    def _probabilities(self, model: str, slabs: Sequence[tuple[Plane, ...]]) -> list[Plane]:
        if not slabs:
            return []
        stacked = np.stack(list(chain(*slabs)))
        stacked = stacked.reshape(len(slabs), -1, *stacked.shape[1:])
        return list(self._engines[model].executable.run(stacked))
