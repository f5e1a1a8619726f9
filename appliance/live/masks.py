"""The masks of one scan, the newest of each slice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from appliance.inference.parts import Runs, SliceRuns
from appliance.inference.slab_inference import Result
from appliance.scan.geometry import SliceGeometry
from breathhold.v1 import types_pb2 as pb


class MaskBook:
    """Lesion and lung masks by slice."""

    def __init__(self) -> None:
        self._masks: dict[tuple[str, int], pb.SliceMask] = {}
        self._high_opacity: dict[str, Runs] = {}

    def write(self, result: Result, revision: int) -> pb.SliceMask:
        """Enter what inference found on a slice; the lesion mask."""
        lesion = _message(result, pb.MASK_KIND_LESION, result.lesion_runs, revision)
        lung = _message(result, pb.MASK_KIND_LUNG, result.lung_runs, revision)
        for mask in (lesion, lung):
            self._masks[mask.sop_instance_uid, mask.kind] = mask
        self._high_opacity[lesion.sop_instance_uid] = _runs(result.high_opacity_runs)
        return lesion

    def runs(self, uid: str, geometry: SliceGeometry) -> SliceRuns:
        """The masks of one slice, as they are now."""
        lung, lesion = (
            _runs(self._masks[uid, kind].runs) for kind in (pb.MASK_KIND_LUNG, pb.MASK_KIND_LESION)
        )
        return SliceRuns(uid, geometry, lung, lesion, self._high_opacity[uid])

    def lesions(self) -> list[pb.SliceMask]:
        return [mask for mask in self._masks.values() if mask.kind == pb.MASK_KIND_LESION]

    def final(self) -> list[pb.SliceMask]:
        """All masks foot to head, without revisions: those tell of the order of arrival."""
        masks = sorted(self._masks.values(), key=lambda mask: (mask.position_mm, mask.kind))
        return [_without_revision(mask) for mask in masks]


def _runs(lengths: Sequence[int]) -> Runs:
    return np.array(tuple(lengths), np.uint32)


def _message(
    result: Result, kind: pb.MaskKind.ValueType, runs: tuple[int, ...], revision: int
) -> pb.SliceMask:
    geometry = result.job.geometry
    return pb.SliceMask(
        sop_instance_uid=result.job.slab.target,
        kind=kind,
        rows=geometry.rows,
        columns=geometry.columns,
        runs=runs,
        revision=revision,
        position_mm=geometry.along_mm,
    )


def _without_revision(mask: pb.SliceMask) -> pb.SliceMask:
    final = pb.SliceMask()
    final.CopyFrom(mask)
    final.ClearField("revision")
    return final
