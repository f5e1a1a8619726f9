"""Slices and scans made up for the tests of the pure core."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

from appliance.quantify.histogram import HuCounts
from appliance.quantify.regions import RegionTallies
from appliance.quantify.tally import SliceTally
from appliance.scan.events import Event, SlabReady
from appliance.scan.geometry import SliceGeometry
from appliance.scan.scan import Scan, ScanPolicy
from appliance.scan.slabs import Form, Slab, SlabShape
from appliance.scan.slice import SliceHeader
from appliance.scan.stack import Section

SERIES = "1.2.3"
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def header(position_mm: float, uid: str | None = None, **changes: object) -> SliceHeader:
    """An axial slice at a place on the patient axis."""
    thickness = changes.pop("thickness", 1.0)
    orientation = changes.pop("orientation", AXIAL)
    spacing = changes.pop("spacing", (0.7, 0.7))
    position = changes.pop("position", (-180.0, -180.0, position_mm))
    fields: dict[str, object] = {
        "sop_instance_uid": uid or f"1.2.3.{round(position_mm * 1000) + 10**9}",
        "series_instance_uid": SERIES,
        "frame_of_reference_uid": "1.2.9",
        "geometry": SliceGeometry(position, orientation, spacing, 512, 512, thickness),  # type: ignore[arg-type]
        "digest": f"{position_mm:.6f}".encode(),
    }
    return SliceHeader(**{**fields, **changes})  # type: ignore[arg-type]


def policy(planes: int = 3, **limits: object) -> ScanPolicy:
    """One model a section, so that a wrong section shows in the result."""
    shapes = {
        section: SlabShape(f"lesion_{section.value}", planes, 3.0 if planes > 1 else 0.0)
        for section in Section
    }
    return ScanPolicy(shapes, **limits)  # type: ignore[arg-type]


def mixed_policy(**limits: object) -> ScanPolicy:
    """Blocks for thin sections, neighbours for the others."""
    blocks = SlabShape("lesion_thin", 8, 3.0, Form.BLOCK, 2)
    shapes = {**policy().shapes, Section.THIN: blocks}
    return ScanPolicy(shapes, **limits)  # type: ignore[arg-type]


def tally_of(slab: Slab) -> SliceTally:
    """A made-up result that depends on every part of the slab, as inference does."""
    digest = hashlib.sha256(repr(slab).encode()).digest()
    lung = 150000 + int.from_bytes(digest[:2], "big")
    lesion = int.from_bytes(digest[2:4], "big") % lung
    hu = np.frombuffer(digest, np.uint8).astype(np.int16) * 4 - 1000
    counts = HuCounts.of(hu), HuCounts.of(hu[::3])
    return SliceTally(lung, lesion, lesion // 3, -400 * lesion, *counts)


def parts_of(scan: Scan) -> dict[str, RegionTallies]:
    """Made-up lobes and segments that depend on every result."""
    tallies = [scan.tally(uid) for uid in scan.stack.ids]
    whole = [(one.lung_px, one.lesion_px, one.high_opacity_px) for one in tallies]
    counts = [
        np.array([[0, pixels // 3, pixels - pixels // 3] for pixels in kinds]) for kinds in whole
    ]
    segments = [kinds[:, ::-1] for kinds in counts]
    return {
        "lobes": RegionTallies(("right_upper_lobe", "left_lower_lobe"), tuple(counts)),
        "segments": RegionTallies(("right_apical", "left_lingular"), tuple(segments)),
    }


class Inference:
    """Answers slabs as a queue would: later, and in whatever order it is asked to."""

    def __init__(self, scan: Scan) -> None:
        self.scan = scan
        self.waiting: list[Slab] = []
        self.events: list[Event] = []

    def handle(self, events: Iterable[Event]) -> None:
        for event in events:
            self.events.append(event)
            if isinstance(event, SlabReady):
                self.waiting.append(event.slab)

    def answer(self, index: int = 0) -> None:
        slab = self.waiting.pop(index % len(self.waiting))
        self.handle(self.scan.record(slab, tally_of(slab)))

    def answer_all(self) -> None:
        while self.waiting:
            self.answer()
