"""What ``--masks`` writes: masks as volumes, slices with lesion as pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from appliance.cli.errors import CliError
from appliance.cli.masks.nifti import write_volume
from appliance.cli.masks.overlays import overlay
from appliance.client import ScanClient, mask_plane
from appliance.ingest import SliceRefusedError, read_dicom
from appliance.scan.geometry import SliceGeometry
from appliance.scan.slice import Slice
from breathhold.v1 import types_pb2

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Pictures:
    """The files that were written."""

    folder: Path
    volumes: tuple[Path, ...]
    overlays: tuple[Path, ...]

    @property
    def files(self) -> tuple[Path, ...]:
        return self.volumes + self.overlays


def write_pictures(
    client: ScanClient, scan: str, paths: Mapping[str, Path], folder: Path
) -> Pictures:
    """Write ``lesion.nii.gz``, ``lung.nii.gz`` and ``slice-NNNN.png`` for slices with lesion.

    Parameters
    ----------
    client, scan
        Where the masks are, and of which scan.
    paths
        The DICOM file of each SOP Instance UID.
    folder
        Made if need be. Slices are counted from the foot, from 1.

    Raises
    ------
    CliError
        When a file of the scan is not at hand.
    ClientError
        When the masks cannot be fetched.
    """
    lesions = client.masks(scan, types_pb2.MASK_KIND_LESION)
    lungs = {
        mask.sop_instance_uid: mask_plane(mask)
        for mask in client.masks(scan, types_pb2.MASK_KIND_LUNG)
    }
    folder.mkdir(parents=True, exist_ok=True)
    geometry, overlays = [], []
    for number, mask in enumerate(lesions, start=1):
        image = _image(mask.sop_instance_uid, paths)
        geometry.append(image.header.geometry)
        if mask.runs:
            path = folder / f"slice-{number:04d}.png"
            lung = lungs.get(mask.sop_instance_uid, np.zeros(image.hu.shape, bool))
            overlay(image, mask_plane(mask), lung).save(path, compress_level=2)
            overlays.append(path)
    order = [mask.sop_instance_uid for mask in lesions]
    volumes = _write_volumes(folder, [mask_plane(mask) for mask in lesions], lungs, order, geometry)
    return Pictures(folder, volumes, tuple(overlays))


def _write_volumes(
    folder: Path,
    lesions: list[Mask],
    lungs: Mapping[str, Mask],
    order: list[str],
    geometry: list[SliceGeometry],
) -> tuple[Path, ...]:
    if not lesions:
        return ()
    by_name = {
        "lesion": lesions,
        "lung": [lungs.get(uid, np.zeros_like(lesions[0])) for uid in order],
    }
    paths = []
    for name, planes in by_name.items():
        paths.append(folder / f"{name}.nii.gz")
        write_volume(paths[-1], planes, geometry)
    return tuple(paths)


def _image(uid: str, paths: Mapping[str, Path]) -> Slice:
    if uid not in paths:
        raise CliError("A slice of the scan is not among the files; give the folder it came from.")
    try:
        return read_dicom(paths[uid].read_bytes())
    except SliceRefusedError as error:
        raise CliError(f"{paths[uid]}: {error.refusal.message}") from error
