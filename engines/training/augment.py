"""Variation that scanners, kernels and fields of view bring."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engines.training.models import SIZE, WINDOW_HU
from engines.training.sampling import Sample

_HU = 1.0 / (WINDOW_HU[1] - WINDOW_HU[0])
_AIR = (-1000.0 - WINDOW_HU[0]) * _HU


@dataclass(frozen=True)
class Batch:
    """Tensors of shape (n, planes or maps, rows, columns), float32; `known` is 0 or 1."""

    planes: Tensor
    label: Tensor
    known: Tensor


def collate(samples: list[Sample], rng: np.random.Generator, crop: int | None) -> Batch:
    """Turn, scale, shift, flip and grade samples into one batch.

    Parameters
    ----------
    samples
        All of the same size.
    rng
        Where all chance comes from.
    crop
        Side of a window cut somewhere into the frame, or None for whole frames.
        Networks must see both, or they paint air outside the body as lung.
    """
    planes = torch.from_numpy(np.stack([s.planes for s in samples]))
    label = torch.from_numpy(np.stack([s.label for s in samples]))
    known = torch.from_numpy(np.stack([s.known for s in samples])).float()
    grid = _grid([sample.focus for sample in samples], rng, crop)
    inside = (grid.abs() <= 1).all(dim=3)[:, None]
    planes = _sampled(planes, grid, "bilinear", "border")
    label = _sampled(label, grid, "nearest", "zeros")
    known = _sampled(known, grid, "nearest", "border")
    planes = torch.where(inside, graded(planes, rng), _outside(len(samples), rng))
    return Batch(planes, label, known)


def _sampled(image: Tensor, grid: Tensor, mode: str, padding: str) -> Tensor:
    return F.grid_sample(image, grid, mode=mode, padding_mode=padding, align_corners=False)


def _grid(
    focus: list[tuple[int, int] | None], rng: np.random.Generator, crop: int | None
) -> Tensor:
    """Where to sample: whole frames, or windows.

    A window shows its sample's focus, or lies anywhere in the frame and a little beyond.
    """
    size, count = crop or SIZE, len(focus)
    scale = np.exp(rng.uniform(np.log(0.75), np.log(1.3), count))
    turn = np.deg2rad(rng.uniform(-8, 8, count))
    flip = np.where(rng.random(count) < 0.5, -1.0, 1.0)
    zoom = size / SIZE / scale
    room = np.maximum(1.1 - zoom, 0.06)[:, None]
    shift = rng.uniform(-1, 1, (count, 2)) * (room if crop else 0.1)
    theta = np.zeros((count, 2, 3), np.float32)
    theta[:, 0, 0], theta[:, 0, 1] = zoom * np.cos(turn) * flip, -zoom * np.sin(turn)
    theta[:, 1, 0], theta[:, 1, 1] = zoom * np.sin(turn) * flip, zoom * np.cos(turn)
    theta[:, :, 2] = shift
    for index, place in enumerate(focus):
        if crop and place is not None:
            away = 0.7 * zoom[index] * rng.uniform(-1, 1, 2)
            theta[index, :, 2] = _position(place) + away
    return F.affine_grid(torch.from_numpy(theta), [count, 1, size, size], align_corners=False)


def _position(place: tuple[int, int]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Row and column as x and y from -1 to 1."""
    row, column = place
    return (2 * np.array([column, row]) + 1) / SIZE - 1


def _outside(count: int, rng: np.random.Generator) -> Tensor:
    """What lies beyond the frame: padding, or air."""
    values = np.where(rng.random(count) < 0.5, 0.0, _AIR + rng.uniform(-25, 25, count) * _HU)
    return torch.from_numpy(values.astype(np.float32))[:, None, None, None]


def graded(planes: Tensor, rng: np.random.Generator) -> Tensor:
    """Another scanner's HU, kernel and dose; the same for all planes of a sample."""
    count = len(planes)
    planes = _sharpness(planes, rng)
    gain = _per_sample(1 + rng.uniform(-0.04, 0.04, count))
    offset = _per_sample(rng.uniform(-30, 30, count) * _HU)
    planes = (planes - _AIR) * gain + _AIR + offset
    ceiling = _per_sample(np.where(rng.random(count) < 0.5, rng.uniform(0.93, 1, count), 1.0))
    noisy = planes + _noise(planes, rng)
    return torch.minimum(noisy.clamp(min=0), ceiling)


def _per_sample(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))[:, None, None, None]


def _blurred(planes: Tensor) -> Tensor:
    kernel = torch.tensor([0.25, 0.5, 0.25])
    depth = planes.shape[1]
    across = kernel.view(1, 1, 1, 3).expand(depth, 1, 1, 3)
    padded = F.pad(planes, (1, 1, 1, 1), mode="replicate")
    once = F.conv2d(padded, across, groups=depth)
    return F.conv2d(once, across.transpose(2, 3), groups=depth)


def _sharpness(planes: Tensor, rng: np.random.Generator) -> Tensor:
    """Soft to sharp kernels: towards the blurred image, or away from it."""
    amount = _per_sample(rng.uniform(-0.6, 1.0, len(planes)))
    return planes + amount * (_blurred(planes) - planes)


def _noise(planes: Tensor, rng: np.random.Generator) -> Tensor:
    strength = _per_sample(np.maximum(rng.uniform(-15, 40, len(planes)), 0) * _HU)
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    noise = torch.randn(planes.shape, generator=generator)
    return strength * noise
