"""The pixels that inference needs, within a fixed budget of memory.

What no longer fits is dropped and, when it is needed, read again from the spool
or made again, so memory does not grow with the number or length of scans.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from appliance.inference.coarse import COARSE, CoarsePlane, coarse_plane
from appliance.inference.pixel_cache import PixelCache, PlaneMemory, T
from appliance.scan.geometry import SliceGeometry, to_standard
from appliance.scan.slabs import Block
from appliance.scan.slice import Slice
from engines.device.coarse import coarse_planes
from engines.device.planes import DevicePlane
from engines.preprocess import Frame, Image
from engines.segmenter import Answer, Prepared

#: Scan id and SOP Instance UID.
Key = tuple[str, str]
_MIB = 2**20
#: Images to network input (:meth:`engines.segmenter.Segmenter.prepare`).
Prepare = Callable[[Sequence[Image]], Sequence[Prepared]]
#: Block planes, each of some prepared slices, to what a model answers about them
#: (:meth:`engines.segmenter.Segmenter.answer_block`).
Infer = Callable[[Sequence[Sequence[Prepared]]], Answer[Prepared]]


class ForgottenSliceError(LookupError):
    """The scan was let go; nobody waits for this slice any more."""


class PlaneStore:
    """HU and prepared planes of the slices in progress, and answers about their blocks.

    Shared by the workers of all devices. Two that need the same at once both make it,
    and the last one is held; what was made of a scan that was forgotten meanwhile is
    not held, even when the scan is back by then.

    What is made on a device lies in its memory and is for its worker alone: another,
    which takes over when that device is lost, makes it again from HU.

    Parameters
    ----------
    reload
        Reads a slice again from the spool, given scan id and SOP Instance UID;
        raises ForgottenSliceError when the scan was let go.
    hu_bytes, prepared_bytes, answer_bytes, coarse_bytes
        Memory of the host for each kind.
    device_prepared_bytes, device_answer_bytes
        Memory of each device.
    """

    def __init__(
        self,
        reload: Callable[[str, str], Slice],
        hu_bytes: int = 384 * _MIB,
        prepared_bytes: int = 256 * _MIB,
        answer_bytes: int = 64 * _MIB,
        coarse_bytes: int = 64 * _MIB,
        device_prepared_bytes: int = 512 * _MIB,
        device_answer_bytes: int = 128 * _MIB,
    ) -> None:
        self._reload = reload
        self._lock = threading.Lock()
        self._hu = PixelCache[npt.NDArray[np.generic]](hu_bytes)
        self._coarse = PixelCache[CoarsePlane](coarse_bytes)
        self._host = PlaneMemory(prepared_bytes, answer_bytes)
        self._memories: dict[Hashable, PlaneMemory] = {None: self._host}
        self._device_bytes = device_prepared_bytes, device_answer_bytes
        self._geometries: dict[Key, SliceGeometry] = {}

    @property
    def bytes_used(self) -> int:
        """Of the host's memory."""
        return sum(held.bytes_used for held in (self._hu, self._coarse, self._host))

    @property
    def device_bytes_used(self) -> int:
        """Of the memory of all devices."""
        with self._lock:
            memories = [memory for memory in self._memories.values() if memory is not self._host]
        return sum(memory.bytes_used for memory in memories)

    def add(self, scan_id: str, arrived: Slice) -> None:
        """Hold the pixels of a newly accepted slice."""
        key = (scan_id, arrived.header.sop_instance_uid)
        with self._lock:
            self._geometries[key] = arrived.header.geometry
            self._hu.put(key, arrived.hu)

    def hu(self, key: Key) -> npt.NDArray[np.int16]:
        """HU as sent, shape (rows, columns).

        Raises
        ------
        ForgottenSliceError
            When the scan was forgotten meanwhile.
        """
        found = self._hu.get(key)
        if found is None:
            geometry = self._check(key)
            found = self._reload(*key).hu
            self._hold(self._hu, key, found, key, geometry)
        return found.astype(np.int16, copy=False)

    def prepared(
        self, keys: Sequence[Key], prepare: Prepare, memory: Hashable = None
    ) -> dict[Key, Prepared]:
        """Prepared planes of some slices; those not yet prepared are, in one batch.

        Parameters
        ----------
        prepare
            Of the caller's device.
        memory
            Where it puts them; None for the host.

        Raises
        ------
        ForgottenSliceError
            When a scan was forgotten meanwhile.
        """
        cache = self._memory(memory).prepared
        planes = {key: cache.get(key) for key in keys}
        missing = {key: self._check(key) for key, plane in planes.items() if plane is None}
        images = [self._image(key, geometry) for key, geometry in missing.items()]
        made = prepare(images) if images else []
        for (key, geometry), plane in zip(missing.items(), made, strict=True):
            self._hold(cache, key, plane, key, geometry)
            planes[key] = plane
        return {key: plane for key, plane in planes.items() if plane is not None}

    def answer(
        self,
        scan_id: str,
        model: str,
        block: Block,
        prepare: Prepare,
        infer: Infer,
        memory: Hashable = None,
    ) -> Answer[Prepared]:
        """What a model answers about a block; inferred when memory does not hold it.

        Parameters
        ----------
        prepare
            Of the caller's device.
        infer
            Given the prepared slices of each plane of the block, foot to head, answers
            about the planes, each the mean of its slices.
        memory
            Where both put what they make; None for the host.

        Raises
        ------
        ForgottenSliceError
            When the scan was forgotten meanwhile.
        """
        key, first = (scan_id, (model, block)), (scan_id, block.planes[0][0])
        cache = self._memory(memory).answers
        found = cache.get(key)
        if found is None:
            geometry = self._check(first)
            slices = sorted({(scan_id, uid) for plane in block.planes for uid in plane})
            prepared = self.prepared(slices, prepare, memory)
            found = infer([[prepared[scan_id, uid] for uid in plane] for plane in block.planes])
            self._check(first)
            self._hold(cache, key, found, first, geometry)
        return found

    def hold_coarse(self, prepared: Mapping[Key, Prepared]) -> None:
        """Hold the coarse planes of slices whose prepared planes are at hand."""
        missing = {
            key: geometry
            for key in prepared
            if (geometry := self._geometries.get(key)) and self._coarse.get(key) is None
        }
        made = _coarse_planes([prepared[key] for key in missing])
        for (key, geometry), plane in zip(missing.items(), made, strict=True):
            self._hold(self._coarse, key, plane, key, geometry)

    def coarse(self, keys: Sequence[Key], prepare: Prepare) -> list[CoarsePlane]:
        """Coarse planes of some slices; made again where memory does not hold them.

        Parameters
        ----------
        prepare
            Of the caller's device.

        Raises
        ------
        ForgottenSliceError
            When a scan was forgotten meanwhile.
        """
        planes = {key: self._coarse.get(key) for key in keys}
        for key in [key for key, plane in planes.items() if plane is None]:
            geometry = self._check(key)
            (made,) = _coarse_planes(prepare([self._image(key, geometry)]))
            self._hold(self._coarse, key, made, key, geometry)
            planes[key] = made
        return [plane for key in keys if (plane := planes[key]) is not None]

    def forget(self, scan_id: str) -> None:
        with self._lock:
            self._hu.forget(scan_id)
            self._coarse.forget(scan_id)
            for memory in self._memories.values():
                memory.forget(scan_id)
            for key in [key for key in self._geometries if key[0] == scan_id]:
                del self._geometries[key]

    def _memory(self, memory: Hashable) -> PlaneMemory:
        with self._lock:
            if memory not in self._memories:
                self._memories[memory] = PlaneMemory(*self._device_bytes)
            return self._memories[memory]

    def _hold(
        self,
        cache: PixelCache[T],
        name: tuple[str, Hashable],
        pixels: T,
        key: Key,
        geometry: SliceGeometry,
    ) -> None:
        """Hold pixels made of a slice, unless the slice was forgotten since `geometry` was."""
        with self._lock:
            if self._geometries.get(key) is geometry:
                cache.put(name, pixels)

    def _check(self, key: Key) -> SliceGeometry:
        geometry = self._geometries.get(key)
        if geometry is None:
            raise ForgottenSliceError
        return geometry

    def _image(self, key: Key, geometry: SliceGeometry) -> Image:
        hu = to_standard(self.hu(key), geometry).astype(np.int16, copy=False)
        return Image(hu, frame_of(geometry))


def _coarse_planes(planes: Sequence[Prepared]) -> list[CoarsePlane]:
    """Coarse planes of planes that lie in one memory, made there."""
    on_device = [plane for plane in planes if isinstance(plane, DevicePlane)]
    if on_device:
        return coarse_planes(on_device, COARSE)
    return [coarse_plane(plane) for plane in planes if isinstance(plane, np.ndarray)]


def frame_of(geometry: SliceGeometry) -> Frame:
    """The pixel grid of a slice after it is turned to the standard view."""
    row_mm, column_mm = geometry.spacing
    if geometry.transposed:
        return Frame(geometry.columns, geometry.rows, column_mm, row_mm)
    return Frame(geometry.rows, geometry.columns, row_mm, column_mm)
