"""Scans as a lobes model sees them: 128 x 128 planes with the lung mask of the shipped model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engines.models import ModelSpec
from engines.preprocess import Frame, Image, Preparer
from engines.runtimes import Runtime, choose_artefact

_BATCH = 16
#: Value of lung of -850 HU by the models' window: stands in where there is no image.
LUNG_VALUE = 0.3125


@dataclass(frozen=True, eq=False)
class LowScan:
    """A scan in the standard view, foot to head, at half a prepared plane's resolution.

    Parameters
    ----------
    planes
        float32, shape (slices, 128, 128): values in [0, 1] by the models' shared window.
    lung
        Shape of `planes`.
    positions_mm
        Where the slices lie, ascending.
    pixel_mm
        Distance between rows, and between columns.
    labels
        uint8, shape of `planes`, where they are known: 1 to 5 as
        :data:`engines.parts.LOBE_NAMES` counts, 0 elsewhere.
    """

    planes: npt.NDArray[np.float32]
    lung: npt.NDArray[np.bool_]
    positions_mm: npt.NDArray[np.float64]
    pixel_mm: tuple[float, float]
    labels: npt.NDArray[np.uint8] | None = None


class Lowering:
    """Prepares planes and finds lung in them.

    Parameters
    ----------
    lung
        The lung model.
    runtime
        What executes it.
    """

    def __init__(self, lung: ModelSpec, runtime: Runtime) -> None:
        self._size = lung.size
        self._threshold = lung.threshold
        self._preparer = Preparer(lung.window_hu, lung.size, _BATCH)
        self._lung = runtime.load(lung, choose_artefact(lung, runtime))

    def lower(self, hu: npt.NDArray[np.int16], spacing: Sequence[float]) -> LowScan:
        """A scan of evenly spaced slices.

        Parameters
        ----------
        hu
            int16, shape (slices, rows, columns), foot to head, standard view.
        spacing
            Distance between slices, rows and columns, mm.
        """
        frame = Frame(hu.shape[1], hu.shape[2], spacing[1], spacing[2])
        planes, shares = [], []
        for first in range(0, len(hu), _BATCH):
            images = [Image(np.ascontiguousarray(plane), frame) for plane in hu[first:][:_BATCH]]
            prepared = np.stack(self._preparer.prepare(images))
            planes.append(halved(prepared))
            shares.append(halved(self._lung.run(prepared[:, None])))
        height = self._size[0] / frame.fitted(self._size)[0] * frame.rows * frame.row_mm
        width = self._size[1] / frame.fitted(self._size)[1] * frame.columns * frame.column_mm
        lung = np.concatenate(shares) >= self._threshold
        pixel = (height / lung.shape[1], width / lung.shape[2])
        positions = np.asarray(np.arange(len(hu)) * float(spacing[0]), np.float64)
        return LowScan(np.concatenate(planes), lung, positions, pixel)


def halved(planes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Means of 2 x 2 pixels; shape (slices, rows, columns), rows and columns even."""
    count, rows, columns = planes.shape
    squares = planes.reshape(count, rows // 2, 2, columns // 2, 2)
    return np.asarray(squares.mean(axis=(2, 4)), np.float32)


def save_scan(path: Path, scan: LowScan) -> None:
    """Write a labelled scan as ``.npz``; planes as 8-bit integers."""
    if scan.labels is None:
        raise ValueError("a scan without labels is nothing to train on")
    np.savez_compressed(
        path,
        planes=np.rint(scan.planes * 255).astype(np.uint8),
        lung=scan.lung,
        labels=scan.labels,
        positions_mm=scan.positions_mm,
        pixel_mm=np.array(scan.pixel_mm),
    )


def load_scan(path: Path) -> LowScan:
    """Read what :func:`save_scan` wrote."""
    with np.load(path) as content:
        first, second = content["pixel_mm"]
        return LowScan(
            planes=content["planes"].astype(np.float32) / np.float32(255),
            lung=content["lung"],
            positions_mm=content["positions_mm"],
            pixel_mm=(float(first), float(second)),
            labels=content["labels"],
        )
