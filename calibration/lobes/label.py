"""``python -m calibration.lobes.label``: labelled scans with lobes by registration."""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np

from calibration.lobes.lowering import LUNG_VALUE, Lowering, LowScan, save_scan
from calibration.lobes.phantoms import filled
from calibration.lobes.sides import split_sides
from calibration.lobes.template import LobeMap, load_template, register
from engines.models import load_repository
from engines.runtimes import choose
from engines.training.cases import load_case, patients_of

#: Lung of this area in the first or last slice: the template has more than the scan shows.
_CUT_OFF_MM2 = 2000.0


def label_scan(scan: LowScan, template: LobeMap) -> LowScan:
    """A scan with lobes by registration."""
    spacing = (float(np.diff(scan.positions_mm).mean()), *scan.pixel_mm)
    sides = split_sides(scan.lung, spacing)
    return replace(scan, labels=filled(register(template, sides, spacing), scan.lung))


def template_scan(template: LobeMap) -> LowScan:
    """The template as a scan: its lung has one value."""
    lung = template.labels > 0
    z, y, x = template.spacing
    planes = np.where(lung, np.float32(LUNG_VALUE), np.float32(1))
    return LowScan(planes, lung, np.asarray(np.arange(len(lung)) * z), (y, x), template.labels)


def cut_off_mm2(scan: LowScan) -> float:
    """Area of lung in the first or the last slice, the larger one: where a scan ends in lung."""
    pixel = scan.pixel_mm[0] * scan.pixel_mm[1]
    return max(np.count_nonzero(scan.lung[end]) for end in (0, -1)) * pixel


def main(arguments: list[str] | None = None) -> None:
    """Label scans as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m calibration.lobes.label", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of cases")
    parser.add_argument("--template", type=Path, required=True, help="NIfTI of the lobes")
    parser.add_argument("--out", type=Path, required=True, help="folder of labelled scans")
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    template = load_template(given.template)
    save_scan(given.out / "template.npz", template_scan(template))
    lung = next(spec for spec in load_repository() if spec.role == "lung")
    lowering = Lowering(lung, choose())
    folders = sorted(path.parent for path in given.data.glob("*/image.nii.gz"))
    patients = patients_of(given.data, [folder.name for folder in folders])
    for folder in folders:
        path = given.out / f"{folder.name}.npz"
        if path.exists():
            continue
        started = time.monotonic()
        case = load_case(folder, patients[folder.name])
        pixel = nibabel.load(folder / "image.nii.gz").header.get_zooms()
        scan = lowering.lower(case.hu, (case.spacing, float(pixel[1]), float(pixel[0])))
        if cut_off_mm2(scan) > _CUT_OFF_MM2:
            print(f"{folder.name}: lung is cut off, not labelled")
            continue
        labelled = label_scan(scan, template)
        save_scan(path, labelled)
        counts = np.bincount(labelled.labels.ravel(), minlength=6)[1:]  # type: ignore[union-attr]
        shares = " ".join(f"{100 * count / counts.sum():.1f}" for count in counts)
        print(f"{folder.name}: {shares} % ({time.monotonic() - started:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
