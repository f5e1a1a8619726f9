"""Vessels, airways and ribs: trees of tubes drawn into a volume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calibration.phantom.shapes import Grid

Points = npt.NDArray[np.float32]

#: Full coverage of a voxel by a tube, as it is stored.
FULL = 255
_CHUNK = 400_000
_ROOT_EXPONENT = 2.7  # Murray's law with the exponent measured in pulmonary arteries


@dataclass(frozen=True)
class Tubes:
    """Balls along the middle lines: centres (n, 3) as (z, y, x) in mm, radii (n,) in mm."""

    centres: Points
    radii: Points

    def grown(self, factor: float, extra: float) -> Tubes:
        """The same tubes with radius `factor` * r + `extra`."""
        return Tubes(self.centres, (self.radii * factor + extra).astype(np.float32))


def joined(*parts: Tubes) -> Tubes:
    """All tubes together."""
    return Tubes(
        np.concatenate([part.centres for part in parts]),
        np.concatenate([part.radii for part in parts]),
    )


def line(points: npt.ArrayLike, radius: float, end_radius: float | None = None) -> Tubes:
    """A tube through `points` (n, 3), its radius changing evenly to `end_radius`."""
    corners = np.asarray(points, np.float32)
    lengths = np.linalg.norm(np.diff(corners, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    count = max(2, int(along[-1] / max(0.7, 0.4 * radius)) + 1)
    places = np.linspace(0, along[-1], count)
    centres = np.stack([np.interp(places, along, corners[:, i]) for i in range(3)], axis=1)
    last = radius if end_radius is None else end_radius
    radii = np.linspace(radius, last, count)
    return Tubes(centres.astype(np.float32), radii.astype(np.float32))


def tree(root: npt.ArrayLike, ends: Points, tip_radius: float, straight: float = 0.5) -> Tubes:
    """A tree of tubes from `root` to every one of `ends`.

    Each end joins the node that makes its own way short without making the
    whole way from the root long; radii follow Murray's law.
    """
    start = np.asarray(root, np.float32)
    order = np.argsort(np.linalg.norm(ends - start, axis=1))
    nodes = np.concatenate([start[None], ends[order]])
    parents = _parents(nodes, straight)
    load = np.ones(len(nodes), np.float32)
    for child in range(len(nodes) - 1, 0, -1):
        load[parents[child]] += load[child]
    radii = tip_radius * load ** (1 / _ROOT_EXPONENT)
    return joined(
        *(
            line(
                _bowed(nodes[parents[child]], nodes[child], start),
                min(radii[parents[child]], 1.5 * radii[child]),
                radii[child],
            )
            for child in range(1, len(nodes))
        )
    )


def _parents(nodes: Points, straight: float) -> npt.NDArray[np.intp]:
    parents = np.zeros(len(nodes), np.intp)
    way = np.zeros(len(nodes), np.float32)
    for child in range(1, len(nodes)):
        hop = np.linalg.norm(nodes[:child] - nodes[child], axis=1)
        parents[child] = np.argmin(hop + straight * way[:child])
        way[child] = way[parents[child]] + hop[parents[child]]
    return parents


def _bowed(start: Points, end: Points, root: Points) -> Points:
    """Start, a middle point pushed away from the root, and end."""
    middle = (start + end) / 2
    outward = middle - root
    length = float(np.linalg.norm(outward)) + 1e-3
    return np.stack([start, middle + 0.1 * np.linalg.norm(end - start) * outward / length, end])


def draw(tubes: Tubes, grid: Grid) -> npt.NDArray[np.uint8]:
    """Coverage of every voxel of `grid` by the tubes, 0 to :data:`FULL`."""
    volume = np.zeros(grid.shape, np.uint8)
    places = (tubes.centres - np.asarray(grid.origin, np.float32)) / np.float32(grid.step)
    radii = tubes.radii / np.float32(grid.step)
    classes = np.ceil(2 * radii).astype(int)
    for size in np.unique(classes):
        chosen = np.flatnonzero(classes == size)
        offsets = _ball(size / 2 + 0.5)
        for part in np.array_split(chosen, len(chosen) * len(offsets) // _CHUNK + 1):
            _stamp(volume, places[part], radii[part], offsets)
    return volume


def _ball(radius: float) -> npt.NDArray[np.int32]:
    """Steps to the voxels that a ball of this radius, centred anywhere in a voxel, touches."""
    steps = np.arange(-int(radius + 1), int(radius + 1) + 1, dtype=np.int32)
    offsets = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    near = np.linalg.norm(offsets, axis=1) < radius + 0.87
    return np.asarray(offsets[near], np.int32)


def _stamp(
    volume: npt.NDArray[np.uint8], places: Points, radii: Points, offsets: npt.NDArray[np.int32]
) -> None:
    cells = np.rint(places).astype(np.int32)
    rest = cells - places
    away = [rest[:, None, i] + offsets[None, :, i] for i in range(3)]
    square = away[0] ** 2 + away[1] ** 2 + away[2] ** 2
    point, offset = np.nonzero(square < (radii[:, None] + np.float32(0.5)) ** 2)
    z, y, x = (cells[point] + offsets[offset]).T
    deep, high, wide = volume.shape
    inside = (z >= 0) & (z < deep) & (y >= 0) & (y < high) & (x >= 0) & (x < wide)
    edge = radii[point] - np.sqrt(square[point, offset]) + np.float32(0.5)
    coverage = (np.minimum(edge, 1) * FULL).astype(np.uint8)
    np.maximum.at(volume, (z[inside], y[inside], x[inside]), coverage[inside])
