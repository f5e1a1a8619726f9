"""``python -m calibration.lobes.evaluate``: how good a lobes model is, as JSON.

On labelled scans: share of lung with the right lobe, Dice and volume of each lobe.
On a lung mask with fissure points: distance of the points to the fissures found. The
mask has no image, so lung of one value stands in for it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from calibration.lobes.fissures import FISSURES, distances, load_mask, load_points
from calibration.lobes.lowering import LUNG_VALUE, LowScan, load_scan
from calibration.lobes.sides import split_sides
from calibration.lobes.template import load_template, register
from engines.lobes import LOBE_NAMES, LobeFinder
from engines.models import SHIPPED, load_repository
from engines.runtimes import choose

Labels = npt.NDArray[np.uint8]


def find(finder: LobeFinder, scan: LowScan) -> Labels:
    """The lobes of a scan."""
    return finder.find(scan.planes, scan.lung, scan.positions_mm, scan.pixel_mm)


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


def on_mask(
    finder: LobeFinder, mask_path: Path, points_path: Path, template: Path | None
) -> dict[str, object]:
    """Distances of the fissure points to the model's fissures, and to the template's."""
    mask = load_mask(mask_path)
    points = load_points(points_path, mask)
    z, y, x = mask.spacing
    planes = np.where(mask.lung, np.float32(LUNG_VALUE), np.float32(1))
    labels = finder.find(planes, mask.lung, np.arange(len(planes)) * z, (y, x))
    shares = np.bincount(labels[labels > 0], minlength=6)[1:] / np.count_nonzero(labels)
    result: dict[str, object] = {
        "model": fissure_distances(labels, mask.spacing, points),
        "volume_share_percent": _by_lobe(100 * shares),
    }
    if template is not None:
        spacing = (float(z), float(y), float(x))
        registered = register(load_template(template), split_sides(mask.lung, spacing), spacing)
        result["template"] = fissure_distances(registered, mask.spacing, points)
    return result


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
    parser.add_argument("--template", type=Path, help="lobe template, to compare with")
    given = parser.parse_args(arguments)
    specs = [spec for spec in load_repository(given.repository) if spec.role == "lobes"]
    finder = LobeFinder(specs[0], choose(), given.precision)
    result: dict[str, object] = {}
    for path in given.scans:
        scan = load_scan(path)
        if scan.labels is not None:
            result[path.stem] = agreement(find(finder, scan), scan.labels)
    if given.mask and given.points:
        result["fissures"] = on_mask(finder, given.mask, given.points, given.template)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
