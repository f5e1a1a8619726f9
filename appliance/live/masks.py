"""The masks of one scan, the newest of each slice."""

from __future__ import annotations

from appliance.inference.slab_inference import Result
from breathhold.v1 import types_pb2 as pb


class MaskBook:
    """Lesion and lung masks by slice."""

    def __init__(self) -> None:
        self._masks: dict[tuple[str, int], pb.SliceMask] = {}

    def write(self, result: Result, revision: int) -> pb.SliceMask:
        """Enter what inference found on a slice; the lesion mask."""
        lesion = _message(result, pb.MASK_KIND_LESION, result.lesion_runs, revision)
        lung = _message(result, pb.MASK_KIND_LUNG, result.lung_runs, revision)
        for mask in (lesion, lung):
            self._masks[mask.sop_instance_uid, mask.kind] = mask
        return lesion

    def lesions(self) -> list[pb.SliceMask]:
        return [mask for mask in self._masks.values() if mask.kind == pb.MASK_KIND_LESION]

    def final(self) -> list[pb.SliceMask]:
        """All masks foot to head, without revisions: those tell of the order of arrival."""
        masks = sorted(self._masks.values(), key=lambda mask: (mask.position_mm, mask.kind))
        return [_without_revision(mask) for mask in masks]


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
