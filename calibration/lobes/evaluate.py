"""``python -m calibration.lobes.evaluate``: how good a lobes model is, as JSON.

On labelled scans: share of lung with the right lobe, Dice and volume of each lobe.
On a lung mask with fissure points: distance of the points to the fissures found, with the
patient's image or, where there is none, with lung of one value.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from calibration.lobes.fissures import (
    FISSURES,
    distances,
    load_image,
    load_mask,
    load_points,
    load_thirds,
)
from calibration.lobes.lowering import LUNG_VALUE, LowScan, load_scan
from calibration.lobes.sides import split_sides
from calibration.lobes.template import load_template, register
from engines.divider import Divider
from engines.models import SHIPPED, load_repository
from engines.parts import LOBE_NAMES
from engines.runtimes import choose

Labels = npt.NDArray[np.uint8]


def find(divider: Divider, scan: LowScan) -> Labels:
    """The lobes of a scan."""
    return divider.divide(scan.planes, scan.lung, scan.positions_mm, scan.pixel_mm)


def agreement(found: Labels, truth: Labels) -> dict[str, object]:
    """Share of lung with the right lobe; Dice and volume of each lobe against the truth's."""
    lung = truth > 0
    table = np.bincount(6 * truth[lung].astype(int) + found[lung], minlength=36).reshape(6, 6)
    right = np.diag(table)[1:]
    theirs, ours = table.sum(axis=1)[1:], table.sum(axis=0)[1:]
    dice = 2 * right / np.maximum(theirs + ours, 1)
    return {
        "right_share": round(float(right.sum() / lung.sum()), 4),
        "dice": _by_lobe(dice),
        "volume_error_percent": _by_lobe(100 * (ours - theirs) / np.maximum(theirs, 1)),
        "volume_share_percent": _by_lobe(100 * ours / ours.sum()),
    }


def _by_lobe(values: npt.NDArray[np.float64]) -> dict[str, float]:
    return {name: round(float(value), 4) for name, value in zip(LOBE_NAMES, values, strict=True)}


def fissure_distances(
    labels: Labels, spacing: npt.NDArray[np.float64], points: dict[str, npt.NDArray[np.float64]]
) -> dict[str, dict[str, float]]:
    """Median, mean and 90th percentile of the points' distances, mm, by fissure and together."""
    found = {name: distances(labels, spacing, name, points[name]) for name in FISSURES}
    found["all"] = np.concatenate(list(found.values()))
    return {
        name: {
            "points": len(away),
            "median_mm": round(float(np.median(away)), 2),
            "mean_mm": round(float(away.mean()), 2),
            "p90_mm": round(float(np.percentile(away, 90)), 2),
        }
        for name, away in found.items()
    }


@dataclass(frozen=True)
class Reference:
    """Files about one patient: a lung mask with fissure points, and what else there is of him.

    Without an image, lung of one value stands in for it.
    """

    mask: Path
    points: Path
    image: Path | None = None
    thirds: Path | None = None
    template: Path | None = None


def on_reference(divider: Divider, given: Reference) -> dict[str, object]:
    """Distances of the fissure points to the model's fissures, and to the template's."""
    mask = load_mask(given.mask)
    points = load_points(given.points, mask)
    z, y, x = (float(mm) for mm in mask.spacing)
    planes = np.where(mask.lung, np.float32(LUNG_VALUE), np.float32(1))
    if given.image is not None:
        low, high = divider.engine.spec.window_hu
        planes = np.clip((load_image(given.image, given.mask) - low) / (high - low), 0, 1)
    positions = np.asarray(np.arange(len(planes)) * z, np.float64)
    labels = divider.divide(planes, mask.lung, positions, (y, x))
    shares = np.bincount(labels[labels > 0], minlength=6)[1:] / np.count_nonzero(labels)
    result: dict[str, object] = {
        "model": fissure_distances(labels, mask.spacing, points),
        "volume_share_percent": _by_lobe(100 * shares),
    }
    if given.thirds is not None:
        result["thirds"] = against_thirds(labels, load_thirds(given.thirds, given.mask))
    if given.template is not None:
        template, sides = load_template(given.template), split_sides(mask.lung, (z, y, x))
        registered = register(template, sides, (z, y, x))
        result["template"] = fissure_distances(registered, mask.spacing, points)
    return result


def against_thirds(labels: Labels, thirds: Labels) -> dict[str, object]:
    """Share of lung on the right side, and how each lobe divides into upper to lower third."""
    known = (labels > 0) & (thirds > 0)
    right = (labels[known] <= 3) == (thirds[known] <= 3)
    table = {
        name: [
            round(float(np.mean((thirds[known & (labels == label)] - 1) % 3 == third)), 3)
            for third in range(3)
        ]
        for label, name in enumerate(LOBE_NAMES, start=1)
    }
    return {"right_side_share": round(float(right.mean()), 4), "upper_middle_lower": table}


def main(arguments: list[str] | None = None) -> None:
    """Evaluate as the command line says."""
    parser = argparse.ArgumentParser(
        prog="python -m calibration.lobes.evaluate", description=__doc__
    )
    parser.add_argument("--repository", type=Path, default=SHIPPED)
    parser.add_argument("--precision", help="fp32 or int8; by default what would serve")
    parser.add_argument("--scans", type=Path, nargs="*", default=[], help="labelled scans, .npz")
    parser.add_argument("--mask", type=Path, help="lung mask with fissure points")
    parser.add_argument("--points", type=Path, help="CSV of fissure points")
    parser.add_argument("--image", type=Path, help="CT of the mask's patient")
    parser.add_argument("--thirds", type=Path, help="labels of the thirds of the mask's lungs")
    parser.add_argument("--template", type=Path, help="lobe template, to compare with")
    given = parser.parse_args(arguments)
    specs = [spec for spec in load_repository(given.repository) if spec.role == "lobes"]
    divider = Divider(specs[0], choose(), given.precision)
    result: dict[str, object] = {}
    for path in given.scans:
        scan = load_scan(path)
        if scan.labels is not None:
            result[path.stem] = agreement(find(divider, scan), scan.labels)
    if given.mask and given.points:
        result["fissures"] = on_reference(
            divider,
            Reference(given.mask, given.points, given.image, given.thirds, given.template),
        )
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
