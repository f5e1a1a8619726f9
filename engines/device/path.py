"""The way of slabs whose planes never leave the device: only bits of masks come back."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engines.device.base import ComputeDevice
from engines.device.masks import BitLayout, Restoring, restore
from engines.device.planes import DeviceBlock, DevicePlane, PlaneArena, Scratch
from engines.device.preparer import DevicePreparer
from engines.device.slabs import DeviceSlab, blend
from engines.models import ModelSpec
from engines.preprocess import Frame, Image, chunks
from engines.requests import SegmentRequest, SliceMasks
from engines.runtimes import DeviceExecutable

_Request = SegmentRequest[DevicePlane]


@dataclass(frozen=True, slots=True, eq=False)
class _Target:
    """A mask to make: what was asked, its grid, where its bits go and what they lie within."""

    request: _Request
    bits: int
    within: int = 0

    @property
    def frame(self) -> Frame:
        return self.request.frame

    def restoring(self, probability: int) -> Restoring:
        return Restoring(probability, self.frame, self.bits, self.within)


class DevicePath:
    """DALI, engines and masks on one device, one behind the other in its order of work.

    The host waits twice a batch: for the lungs' bits, which say where lesions are asked for,
    and for the lesions'. It unpacks the former while the device works on the latter.

    Parameters
    ----------
    engines
        Model and executable by the model's name; all on one device.
    lung
        Name of the lung model.
    batch
        The largest number of slices worked on at once.
    """

    def __init__(
        self,
        engines: Mapping[str, tuple[ModelSpec, DeviceExecutable]],
        lung: str,
        batch: int,
    ) -> None:
        self._engines, self._lung, self._batch = engines, lung, batch
        spec, executable = engines[lung]
        self._size = spec.size
        self._device: ComputeDevice = executable.device
        self._arena = PlaneArena(self._device, spec.size)
        self._preparer = DevicePreparer(self._arena, spec.window_hu, batch)
        self._lungs, self._lesions = Scratch(self._device), Scratch(self._device)

    @property
    def name(self) -> str:
        """Of the device."""
        return self._device.name

    @property
    def memory(self) -> Hashable:
        return self._device

    def prepare(self, images: Sequence[Image]) -> list[DevicePlane]:
        return self._preparer.prepare(images)

    def segment(self, requests: Sequence[_Request]) -> list[SliceMasks]:
        with self._device.working():
            return [
                masks
                for chunk in chunks(requests, self._batch)
                for masks in self._segment_chunk(chunk)
            ]

    def answer_block(self, model: str, planes: DeviceSlab) -> DeviceBlock:
        with self._device.working():
            (answer,) = self._engines[model][1].infer([planes])
            made = self._arena.take(len(planes))
            for place, plane in enumerate(made):
                self._device.copy(plane.address, answer + place * plane.nbytes, plane.nbytes)
        return DeviceBlock(made)

    def blend(self, weights: Sequence[float], planes: Sequence[DevicePlane]) -> DevicePlane:
        with self._device.working():
            (made,) = self._arena.take(1)
            blend(self._device, weights, planes, made.address)
        return made

    def _segment_chunk(self, requests: Sequence[_Request]) -> list[SliceMasks]:
        layout = BitLayout.of([request.frame for request in requests])
        lungs, lesions = self._lungs.address(layout.size), self._lesions.address(layout.size)
        starts = layout.starts
        self._ask_for_lungs(
            [
                _Target(request, lungs + start)
                for request, start in zip(requests, starts, strict=True)
            ]
        )
        lung_bits = self._device.fetch(lungs, layout.size)
        with_lung = [place for place in range(len(requests)) if layout.any(lung_bits, place)]
        self._ask_for_lesions(
            [
                _Target(requests[place], lesions + starts[place], lungs + starts[place])
                for place in with_lung
            ]
        )
        lung_masks = [layout.mask(lung_bits, place) for place in range(len(requests))]
        lesion_masks = [np.zeros_like(mask) for mask in lung_masks]
        if with_lung:
            lesion_bits = self._device.fetch(lesions, layout.size)
            for place in with_lung:
                lesion_masks[place] = layout.mask(lesion_bits, place)
        return [SliceMasks(*masks) for masks in zip(lung_masks, lesion_masks, strict=True)]

    def _ask_for_lungs(self, targets: Sequence[_Target]) -> None:
        self._infer(self._lung, targets, [((target.request.centre,),) for target in targets])

    def _ask_for_lesions(self, targets: Sequence[_Target]) -> None:
        for name in sorted({target.request.model for target in targets}):
            chosen = [target for target in targets if target.request.model == name]
            if self._engines[name][0].form == "neighbours":
                slabs = [[(plane,) for plane in target.request.planes] for target in chosen]
                self._infer(name, chosen, slabs)
            else:
                planes = [target.request.blend() for target in chosen]
                self._restore(name, chosen, [plane.address for plane in planes])

    def _infer(self, name: str, targets: Sequence[_Target], slabs: Sequence[DeviceSlab]) -> None:
        """Masks of neighbours; an answer is made a mask before the next inference."""
        _, executable = self._engines[name]
        batches = chunks(slabs, executable.batch)
        for part, given in zip(chunks(targets, executable.batch), batches, strict=True):
            self._restore(name, part, executable.infer(given))

    def _restore(self, name: str, targets: Sequence[_Target], probabilities: Sequence[int]) -> None:
        threshold = self._engines[name][0].threshold
        items = [
            target.restoring(probability)
            for target, probability in zip(targets, probabilities, strict=True)
        ]
        restore(self._device, items, self._size, threshold)
