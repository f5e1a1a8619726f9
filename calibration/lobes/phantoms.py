"""``python -m calibration.lobes.phantoms``: phantoms with their lobes, to train on."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt

from calibration.lobes.lowering import Lowering, LowScan, halved, save_scan
from calibration.phantom import Lobe, Phantom, Section, make_phantom
from engines.models import load_repository
from engines.runtimes import choose

#: The phantom's lobes as models count them: :data:`engines.parts.LOBE_NAMES`.
_LOBES_IN_ORDER = (
    Lobe.RIGHT_UPPER,
    Lobe.RIGHT_MIDDLE,
    Lobe.RIGHT_LOWER,
    Lobe.LEFT_UPPER,
    Lobe.LEFT_LOWER,
)
_SECTIONS = (Section.THIN, Section.MEDIUM, Section.THICK, Section.THICK)
_MATRIX = 256
#: Slices of a thin section: as many as fill the voxels of a region.
_THIN_SLICES = 200


def lowered_phantom(phantom: Phantom, lowering: Lowering) -> LowScan:
    """A phantom as a lobes model sees it, with its true lobes."""
    scan = lowering.lower(phantom.hu, phantom.spacing)
    shares = np.stack(
        [halved((phantom.lobes == lobe).astype(np.float32)) for lobe in _LOBES_IN_ORDER]
    )
    coarse = np.where(shares.any(axis=0), shares.argmax(axis=0) + 1, 0).astype(np.uint8)
    return replace(scan, labels=filled(coarse, scan.lung))


def filled(labels: npt.NDArray[np.uint8], lung: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Labels of all lung: each pixel without one takes that of the nearest that has one."""
    bare = labels == 0
    nearest = distance_transform_edt(bare, return_distances=False, return_indices=True)
    return np.asarray(np.where(lung, labels[tuple(nearest)], 0), np.uint8)


def main(arguments: list[str] | None = None) -> None:
    """Make phantoms as the command line says."""
    parser = argparse.ArgumentParser(
        prog="python -m calibration.lobes.phantoms", description=__doc__
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of labelled scans")
    parser.add_argument("--first-seed", type=int, default=900_000)
    parser.add_argument("--count", type=int, default=200)
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    lung = next(spec for spec in load_repository() if spec.role == "lung")
    lowering = Lowering(lung, choose())
    for number in range(given.count):
        seed, section = given.first_seed + number, _SECTIONS[number % len(_SECTIONS)]
        path = given.out / f"phantom{seed}.npz"
        if path.exists():
            continue
        slices = _THIN_SLICES if section is Section.THIN else None
        lesions = number % 5 != 0
        phantom = make_phantom(
            seed, section=section, slices=slices, matrix=_MATRIX, lesions=lesions
        )
        save_scan(path, lowered_phantom(phantom, lowering))
        print(path)


if __name__ == "__main__":
    main()
