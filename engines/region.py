"""The region of interest around the lungs: its grid, and the way there and back.

Whole scans become one small volume of fixed shape: the box around the lungs,
stretched along each axis so that lungs fill it whatever their size, with voxels
of 2 mm at least. Values are means over lung alone, so that neither chest wall
nor heart blurs into it; outside the lungs they are 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

Volume = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Places = npt.NDArray[np.float64]

#: Empty voxels around the lungs.
_MARGIN = 2
_SMALLEST_VOXEL_MM = 2.0
#: Share of the lungs that may lie beyond each face of the box: specks of gas that a lung model
#: takes for lung must not stretch it.
_TRIMMED = 0.0005
#: Share of a voxel from which it is lung.
_LUNG_SHARE = 0.5


@dataclass(frozen=True)
class Axis:
    """Evenly spaced voxels along one axis: centre of the first and distance, mm; number."""

    first: float
    step: float
    count: int

    @property
    def places(self) -> Places:
        """Centres of the voxels, mm."""
        return np.asarray(self.first + self.step * np.arange(self.count), np.float64)


@dataclass(frozen=True)
class Region:
    """The grid of the region of interest: its axes along z, rows and columns."""

    axes: tuple[Axis, Axis, Axis]

    @classmethod
    def around(
        cls, lung: Mask, places: tuple[Places, Places, Places], shape: tuple[int, int, int]
    ) -> Region:
        """The region around a lung.

        Parameters
        ----------
        lung
            Shape (slices, rows, columns), some of it True.
        places
            Where slices, rows and columns lie, mm, each ascending.
        shape
            Of the region.

        Raises
        ------
        ValueError
            When there is no lung.
        """
        if not lung.any():
            raise ValueError("there is no lung to lay a region around")
        columns = np.count_nonzero(lung, axis=0)
        counts = (np.count_nonzero(lung, axis=(1, 2)), columns.sum(axis=1), columns.sum(axis=0))
        axes = [
            _axis(*_extent(count, place), cells)
            for count, place, cells in zip(counts, places, shape, strict=True)
        ]
        return cls((axes[0], axes[1], axes[2]))

    def sample(
        self, planes: Volume, lung: Mask, places: tuple[Places, Places, Places]
    ) -> tuple[Volume, Volume]:
        """What the region holds: mean value of lung, 0 where there is none, and share of lung.

        Parameters
        ----------
        planes, lung
            Shape (slices, rows, columns).
        places
            Where slices, rows and columns lie, mm, each ascending.

        Returns
        -------
        Both float32, shape of the region.
        """
        box = box_of(lung)
        weights = [
            _weights(place, axis)[:, part]
            for place, axis, part in zip(places, self.axes, box, strict=True)
        ]
        lung, planes = lung[box], planes[box]
        share = _along_all(lung.astype(np.float32), weights)
        total = _along_all(np.where(lung, planes, np.float32(0)), weights)
        inside = share >= _LUNG_SHARE
        return np.where(inside, total / np.maximum(share, _LUNG_SHARE), np.float32(0)), share

    def interpolate(self, maps: Volume, places: tuple[Places, Places, Places]) -> Iterator[Volume]:
        """Maps of the region at other places, linearly; beyond its ends, their value there.

        Parameters
        ----------
        maps
            Shape (maps, ...), then that of the region.
        places
            Of the slices, rows and columns asked about, mm.

        Yields
        ------
        One slice after the other, float32, shape (maps, rows, columns).
        """
        along, down, across = (
            _between(axis, place) for axis, place in zip(self.axes, places, strict=True)
        )
        # So that rows lie first, and after one turn columns.
        planes = np.ascontiguousarray(np.moveaxis(maps, 0, 2))
        for first in range(along.shape[0]):
            one = _times(along[first : first + 1], planes)[0]
            turned = np.ascontiguousarray(_times(down, one).T)
            yield _times(across, turned).transpose(1, 2, 0)


def box_of(lung: Mask) -> tuple[slice, slice, slice]:
    """The smallest box that holds some lung."""
    along = [np.asarray(lung.any(axis=others)) for others in ((1, 2), (0, 2), (0, 1))]
    first, second, third = (
        slice(int(found.argmax()), len(found) - int(found[::-1].argmax())) for found in along
    )
    return first, second, third


def _extent(count: npt.NDArray[np.intp], places: Places) -> tuple[float, float]:
    """First and last place of all but the trimmed lung."""
    below = np.cumsum(count)
    first = np.searchsorted(below, _TRIMMED * below[-1], side="right")
    last = np.searchsorted(below, (1 - _TRIMMED) * below[-1], side="left")
    return float(places[first]), float(places[last])


def _axis(low: float, high: float, cells: int) -> Axis:
    step = max((high - low) / (cells - 1 - 2 * _MARGIN), _SMALLEST_VOXEL_MM)
    return Axis((low + high) / 2 - step * (cells - 1) / 2, step, cells)


def _weights(places: Places, axis: Axis) -> csr_array:
    """Matrix, shape (voxels, places), of triangular means as wide as a voxel or a gap."""
    after = np.clip(np.searchsorted(places, axis.places), 1, len(places) - 1)
    gap = places[after] - places[after - 1] if len(places) > 1 else np.full(axis.count, axis.step)
    width = np.maximum(axis.step, gap)[:, None]
    share = np.clip(1 - np.abs(axis.places[:, None] - places) / width, 0, None)
    total = share.sum(axis=1, keepdims=True)
    return csr_array((share / np.where(total > 0, total, 1)).astype(np.float32))


def _between(axis: Axis, places: Places) -> csr_array:
    """Matrix, shape (places, voxels), that interpolates linearly and clamps at the ends."""
    at = np.clip((places - axis.first) / axis.step, 0, axis.count - 1)
    left = np.minimum(at.astype(np.intp), axis.count - 2)
    share = (at - left).astype(np.float32)
    rows = np.arange(len(places))
    entries = np.concatenate([1 - share, share])
    where = (np.concatenate([rows, rows]), np.concatenate([left, left + 1]))
    return csr_array((entries, where), shape=(len(places), axis.count))


def _along_all(volume: Volume, weights: list[csr_array]) -> Volume:
    """A volume resampled along its three axes.

    The axis that comes last is turned to the front each time, so three rounds
    bring the first one back there.
    """
    for matrix in weights:
        volume = np.ascontiguousarray(np.moveaxis(_times(matrix, volume), 0, -1))
    return volume


def _times(matrix: csr_array, volume: Volume) -> Volume:
    """A volume resampled along its first axis."""
    resampled = matrix @ volume.reshape(volume.shape[0], -1)
    return np.asarray(resampled.reshape(-1, *volume.shape[1:]), np.float32)
