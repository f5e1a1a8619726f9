"""The pixels that inference needs, within a fixed budget of memory.

What no longer fits is dropped and, when it is needed, read again from the spool
or made again, so memory does not grow with the number or length of scans.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence

import numpy as np
import numpy.typing as npt

from appliance.inference.coarse import CoarsePlane, coarse_plane
from appliance.scan.geometry import SliceGeometry, to_standard
from appliance.scan.slabs import Block
from appliance.scan.slice import Slice
from engines.preprocess import Frame, Image, Plane

#: Scan id and SOP Instance UID.
Key = tuple[str, str]
_MIB = 2**20
#: Images to network input (:meth:`engines.segmenter.Segmenter.prepare`).
Prepare = Callable[[Sequence[Image]], list[Plane]]


class ForgottenSliceError(LookupError):
    """The scan was let go; nobody waits for this slice any more."""


class PixelCache:
    """Arrays by scan id and name, least recently used dropped first. Safe from any thread."""

    def __init__(self, budget_bytes: int) -> None:
        self._budget = budget_bytes
        self._lock = threading.Lock()
        self._arrays: OrderedDict[tuple[str, Hashable], npt.NDArray[np.generic]] = OrderedDict()
        self._bytes = 0

    @property
    def bytes_used(self) -> int:
        return self._bytes

    def get(self, key: tuple[str, Hashable]) -> npt.NDArray[np.generic] | None:
        with self._lock:
            if key in self._arrays:
                self._arrays.move_to_end(key)
            return self._arrays.get(key)

    def put(self, key: tuple[str, Hashable], array: npt.NDArray[np.generic]) -> None:
        with self._lock:
            self._drop(key)
            self._arrays[key] = array
            self._bytes += array.nbytes
            while self._bytes > self._budget and len(self._arrays) > 1:
                self._drop(next(iter(self._arrays)))

    def forget(self, scan_id: str) -> None:
        with self._lock:
            for key in [key for key in self._arrays if key[0] == scan_id]:
                self._drop(key)

    def _drop(self, key: tuple[str, Hashable]) -> None:
        array = self._arrays.pop(key, None)
        if array is not None:
            self._bytes -= array.nbytes


class PlaneStore:
    """HU and prepared planes of the slices in progress, and answers about their blocks.

    Shared by the workers of all devices. Two that need the same at once both make it,
    and the last one is held; what was made of a scan that was forgotten meanwhile is
    not held, even when the scan is back by then.

    Parameters
    ----------
    reload
        Reads a slice again from the spool, given scan id and SOP Instance UID;
        raises ForgottenSliceError when the scan was let go.
    hu_bytes, prepared_bytes, answer_bytes, coarse_bytes
        Memory for each kind.
    """

    def __init__(
        self,
        reload: Callable[[str, str], Slice],
        hu_bytes: int = 384 * _MIB,
        prepared_bytes: int = 256 * _MIB,
        answer_bytes: int = 64 * _MIB,
        coarse_bytes: int = 64 * _MIB,
    ) -> None:
        self._reload = reload
        self._lock = threading.Lock()
        self._hu = PixelCache(hu_bytes)
        self._prepared = PixelCache(prepared_bytes)
        self._answers = PixelCache(answer_bytes)
        self._coarse = PixelCache(coarse_bytes)
        self._geometries: dict[Key, SliceGeometry] = {}

    @property
    def bytes_used(self) -> int:
        return sum(cache.bytes_used for cache in self._caches)

    @property
    def _caches(self) -> tuple[PixelCache, ...]:
        return self._hu, self._prepared, self._answers, self._coarse

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

    def prepared(self, keys: Sequence[Key], prepare: Prepare) -> dict[Key, Plane]:
        """Prepared planes of some slices; those not yet prepared are, in one batch.

        Parameters
        ----------
        prepare
            Of the caller's device.

        Raises
        ------
        ForgottenSliceError
            When a scan was forgotten meanwhile.
        """
        planes = {key: self._prepared.get(key) for key in keys}
        missing = {key: self._check(key) for key, plane in planes.items() if plane is None}
        images = [self._image(key, geometry) for key, geometry in missing.items()]
        made = prepare(images) if images else []
        for (key, geometry), plane in zip(missing.items(), made, strict=True):
            self._hold(self._prepared, key, plane, key, geometry)
            planes[key] = plane
        return {
            key: plane.astype(np.float32, copy=False)
            for key, plane in planes.items()
            if plane is not None
        }

    def answer(
        self,
        scan_id: str,
        model: str,
        block: Block,
        prepare: Prepare,
        infer: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]],
    ) -> npt.NDArray[np.float32]:
        """What a model answers about a block; inferred when memory does not hold it.

        Parameters
        ----------
        prepare
            Of the caller's device.
        infer
            Given the block's planes, shape (planes, rows, columns), answers each.

        Raises
        ------
        ForgottenSliceError
            When the scan was forgotten meanwhile.
        """
        key, first = (scan_id, (model, block)), (scan_id, block.planes[0][0])
        found = self._answers.get(key)
        if found is None:
            geometry = self._check(first)
            found = infer(self._block_planes(scan_id, block, prepare))
            self._check(first)
            self._hold(self._answers, key, found, first, geometry)
        return found.astype(np.float32, copy=False)

    def hold_coarse(self, key: Key, plane: Plane) -> None:
        """Hold the coarse plane of a slice whose prepared plane is at hand."""
        if (geometry := self._geometries.get(key)) and self._coarse.get(key) is None:
            self._hold(self._coarse, key, coarse_plane(plane), key, geometry)

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
            made = coarse_plane(self.prepared([key], prepare)[key])
            self._hold(self._coarse, key, made, key, geometry)
            planes[key] = made
        found = [planes[key] for key in keys]
        return [plane.astype(np.uint8, copy=False) for plane in found if plane is not None]

    def _block_planes(
        self, scan_id: str, block: Block, prepare: Prepare
    ) -> npt.NDArray[np.float32]:
        """Each plane the mean of its slices, summed foot to head."""
        keys = sorted({(scan_id, uid) for plane in block.planes for uid in plane})
        prepared = self.prepared(keys, prepare)
        means = [np.mean([prepared[scan_id, uid] for uid in plane], 0) for plane in block.planes]
        return np.stack(means)

    def forget(self, scan_id: str) -> None:
        with self._lock:
            for cache in self._caches:
                cache.forget(scan_id)
            for key in [key for key in self._geometries if key[0] == scan_id]:
                del self._geometries[key]

    def _hold(
        self,
        cache: PixelCache,
        name: tuple[str, Hashable],
        array: npt.NDArray[np.generic],
        key: Key,
        geometry: SliceGeometry,
    ) -> None:
        """Hold an array made of a slice, unless the slice was forgotten since `geometry` was."""
        with self._lock:
            if self._geometries.get(key) is geometry:
                cache.put(name, array)

    def _check(self, key: Key) -> SliceGeometry:
        geometry = self._geometries.get(key)
        if geometry is None:
            raise ForgottenSliceError
        return geometry

    def _image(self, key: Key, geometry: SliceGeometry) -> Image:
        hu = to_standard(self.hu(key), geometry).astype(np.int16, copy=False)
        return Image(hu, frame_of(geometry))


def frame_of(geometry: SliceGeometry) -> Frame:
    """The pixel grid of a slice after it is turned to the standard view."""
    row_mm, column_mm = geometry.spacing
    if geometry.transposed:
        return Frame(geometry.columns, geometry.rows, column_mm, row_mm)
    return Frame(geometry.rows, geometry.columns, row_mm, column_mm)
