"""Variation of a region: builds, fields of view, sections, scanners, disease."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from scipy.spatial.transform import Rotation
from torch import Tensor

from engines.region import Region
from engines.training.lobes.scans import SHAPE, LobeScan
from engines.training.models import WINDOW_HU

_HU = 1.0 / (WINDOW_HU[1] - WINDOW_HU[0])
#: Of a fine region, about; only that it is not small matters.
_VOXEL_MM = 2.4
#: How often a real lung shows nothing but its shape. A phantom always shows its fissures: they
#: lie as it was drawn, and its shape alone must not be mistaken for a patient's.
_BLANK_SHARE = 0.25


@dataclass(frozen=True, eq=False)
class Sample:
    """What the network sees, float32 of shape (1, ...), and its lobes, int64, 0 outside lung."""

    values: Tensor
    labels: Tensor


def draw(scan: LobeScan, rng: np.random.Generator, shape: tuple[int, int, int] = SHAPE) -> Sample:
    """A scan varied at random, in the shape that the network sees."""
    values = torch.from_numpy(scan.values.astype(np.float32))
    labels = torch.from_numpy(scan.labels)
    if rng.random() < 0.2:
        values, labels = _cut(values, labels, rng)
    lung = (values > 0).float()
    if rng.random() < 0.35:
        values, lung = _thickened(values, lung, int(rng.integers(2, 5)))
    grid = _grid(np.asarray(labels > 0), rng, shape)
    both = torch.stack([values * lung, lung])[None]
    total, share = _sampled(both, grid, "bilinear")[0]
    found = _sampled(labels[None, None].float(), grid, "nearest")[0, 0]
    inside = share >= 0.5
    blank = not scan.synthetic and rng.random() < _BLANK_SHARE
    shade = _blank if blank else _graded
    seen = shade(total / share.clamp(min=0.5), inside, rng)
    seen = torch.where(inside, seen.clamp(1e-3, 1), torch.zeros(()))
    if rng.random() < 0.15:
        seen = seen * (1 - _ball(inside, rng, 4, 12).float())
    return Sample(seen[None], found.long()[None])


def _cut(values: Tensor, labels: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A scan that begins or ends within the lungs."""
    planes = len(values)
    missing = int(rng.uniform(0.05, 0.3) * planes)
    kept = torch.zeros(planes, 1, 1, dtype=torch.bool)
    if rng.random() < 0.5:
        kept[missing:] = True
    else:
        kept[: planes - missing] = True
    return values * kept, labels * kept


def _thickened(values: Tensor, lung: Tensor, planes: int) -> tuple[Tensor, Tensor]:
    """Sections as thick as some planes, interpolated between."""
    both = torch.stack([values * lung, lung])[None]
    size = both.shape[2:]
    coarse = F.avg_pool3d(both, (planes, 1, 1), ceil_mode=True, count_include_pad=False)
    total, share = F.interpolate(coarse, size, mode="trilinear", align_corners=False)[0]
    inside = share >= 0.5
    return torch.where(inside, total / share.clamp(min=0.5), torch.zeros(())), inside.float()


def _grid(
    lung: npt.NDArray[np.bool_], rng: np.random.Generator, shape: tuple[int, int, int]
) -> Tensor:
    """Where to look: the region around the lung, a little off, turned and bent; (1, ..., xyz)."""
    size = np.array(lung.shape)
    z, y, x = (_VOXEL_MM * np.arange(count) for count in size)
    region = Region.around(lung, (z, y, x), shape)
    middle = np.array([axis.places.mean() for axis in region.axes]) / _VOXEL_MM
    step = np.array([axis.step for axis in region.axes]) / _VOXEL_MM * rng.uniform(0.95, 1.07, 3)
    middle += rng.uniform(-2.5, 2.5, 3)
    turn = Rotation.from_euler("zyx", rng.uniform(-5, 5, 3), degrees=True).as_matrix()
    offsets = [torch.arange(count) - (count - 1) / 2 for count in shape]
    at = torch.stack(torch.meshgrid(*offsets, indexing="ij"), -1).float()
    at = at * torch.from_numpy(step).float() @ torch.from_numpy(turn.T).float()
    at = at + torch.from_numpy(middle).float()
    if rng.random() < 0.6:
        at = at + _bend(rng, shape)
    scaled = (2 * at + 1) / torch.from_numpy(size).float() - 1
    return scaled.flip(-1)[None]


def _bend(rng: np.random.Generator, shape: tuple[int, int, int]) -> Tensor:
    """A smooth displacement, voxels."""
    knots = rng.standard_normal((1, 3, 5, 5, 5)) * rng.uniform(0.5, 3.0)
    coarse = torch.from_numpy(knots).float()
    field = F.interpolate(coarse, shape, mode="trilinear", align_corners=True)
    return field[0].permute(1, 2, 3, 0)


def _sampled(volume: Tensor, grid: Tensor, mode: str) -> Tensor:
    return F.grid_sample(volume, grid, mode=mode, padding_mode="zeros", align_corners=False)


def _blank(values: Tensor, inside: Tensor, rng: np.random.Generator) -> Tensor:
    """Nothing but shape: lung of one value, and noise."""
    level = (rng.uniform(-900, -780) - WINDOW_HU[0]) * _HU
    return level + _noise(values, rng) * float(rng.uniform(0, 20) * _HU)


def _noise(like: Tensor, rng: np.random.Generator) -> Tensor:
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    return torch.randn(like.shape, generator=generator)


def _graded(values: Tensor, inside: Tensor, rng: np.random.Generator) -> Tensor:
    """Another scanner's HU and dose, with painted disease."""
    for _ in range(int(rng.integers(0, 4))):
        region = _ball(inside, rng, 3, 22)
        level = float((rng.uniform(-700, 50) - WINDOW_HU[0]) * _HU)
        share = region.float() * float(rng.uniform(0.6, 0.95))
        values = values + share * (torch.maximum(values, torch.tensor(level)) - values)
    values = values + float(rng.uniform(-30, 30) * _HU)
    return values + _noise(values, rng) * float(max(rng.uniform(-20, 20), 0) * _HU)


def _ball(inside: Tensor, rng: np.random.Generator, smallest: float, largest: float) -> Tensor:
    """An ellipsoid around some place in the lung, radii in voxels."""
    places = torch.nonzero(inside)
    if len(places) == 0:
        return torch.zeros_like(inside)
    centre = places[int(rng.integers(len(places)))]
    radii = rng.uniform(smallest, largest) * rng.uniform(0.6, 1.0, 3)
    away = [
        ((torch.arange(count) - float(middle)) / float(radius)) ** 2
        for count, middle, radius in zip(inside.shape, centre, radii, strict=True)
    ]
    return away[0][:, None, None] + away[1][:, None] + away[2] < 1
