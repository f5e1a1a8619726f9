"""Labelled scans as volumes around their lungs, finer than what the network sees."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engines.region import Region

#: Planes, rows and columns that the network sees.
SHAPE = (96, 80, 112)
#: The same box, finer, to turn and bend without blurring.
_FINE = (120, 100, 140)
#: Scans that are kept in memory.
_KEPT = 400


@dataclass(frozen=True, eq=False)
class LobeScan:
    """One scan; all of one region's shape.

    Parameters
    ----------
    values
        float16 in [0, 1] by the models' shared window; 0 outside the lungs.
    labels
        uint8: lobes 1 to 5, 0 outside the lungs.
    synthetic
        A phantom.
    """

    values: npt.NDArray[np.float16]
    labels: npt.NDArray[np.uint8]
    synthetic: bool


@lru_cache(_KEPT)
def load_scan(path: Path, shape: tuple[int, int, int] = _FINE) -> LobeScan:
    """A scan of ``calibration.lobes``: planes, lung, labels, positions_mm, pixel_mm."""
    with np.load(path) as content:
        lung, labels = content["lung"], content["labels"]
        planes = content["planes"].astype(np.float32) / np.float32(255)
        pixel = content["pixel_mm"]
        places = (
            content["positions_mm"],
            pixel[0] * np.arange(lung.shape[1]),
            pixel[1] * np.arange(lung.shape[2]),
        )
    region = Region.around(lung, places, shape)
    values, _ = region.sample(planes, lung, places)
    nearest = np.ix_(
        *(_nearest(place, axis.places) for place, axis in zip(places, region.axes, strict=True))
    )
    seen = np.where(values > 0, labels[nearest], 0)
    return LobeScan(values.astype(np.float16), seen, _is_phantom(path))


def _nearest(
    places: npt.NDArray[np.float64], wanted: npt.NDArray[np.float64]
) -> npt.NDArray[np.intp]:
    """The nearest of ascending places to each wanted one."""
    return np.asarray(np.abs(places[:, None] - wanted).argmin(axis=0), np.intp)


def find_scans(folders: list[Path], held_out: list[str]) -> tuple[list[Path], list[Path]]:
    """Real scans and phantoms to train on.

    Raises
    ------
    ValueError
        When a name that is held out is not there, or nothing is left.
    """
    found = {path.stem: path for folder in folders for path in sorted(folder.glob("*.npz"))}
    if missing := sorted(set(held_out) - found.keys()):
        raise ValueError(f"held out but not there: {', '.join(missing)}")
    kept = {name: path for name, path in found.items() if name not in held_out}
    if not kept:
        raise ValueError("no scan to train on")
    real = [path for path in kept.values() if not _is_phantom(path)]
    return real, [path for path in kept.values() if _is_phantom(path)]


def _is_phantom(path: Path) -> bool:
    return path.name.startswith("phantom")
