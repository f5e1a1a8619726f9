"""What the final report says of a scan, apart from when things happened.

Everything here is a function of the set of accepted slices and their results.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from appliance.quantify.coverage import lung_cut_off
from appliance.quantify.norms import NO_NORMS, Norms
from appliance.quantify.regions import RegionTallies
from appliance.quantify.scores import Scores
from appliance.scan.events import CompletedBy
from appliance.scan.findings import Findings, findings
from appliance.scan.imaging import quality_measures, quality_notices, quality_of
from appliance.scan.scan import Scan, ScanPhase
from appliance.scan.stack import Gap, Section
from appliance.scan.verdicts import Notice, NoticeReason

#: Slices thicker than their distance by more than this share overlap.
_OVERLAP = 1.05


@dataclass(frozen=True, slots=True)
class Summary:
    """The final result of one scan.

    `quality` are measures of the images (:func:`appliance.scan.imaging.quality_measures`).
    """

    scores: Scores
    section: Section
    spacing_mm: float
    slices: int
    missing: tuple[Gap, ...]
    notices: tuple[Notice, ...]
    completed_by: CompletedBy
    findings: Findings
    quality: Mapping[str, float]


def summarize(
    scan: Scan, norms: Norms = NO_NORMS, parts: Mapping[str, RegionTallies] | None = None
) -> Summary:
    """The final result of a finished scan.

    Parameters
    ----------
    scan
        Finished.
    norms
        What it is measured against.
    parts
        Counts of its slices, foot to head, by "lobes" and "segments", where they were told apart.

    Raises
    ------
    ValueError
        When the scan is not finished.
    """
    if scan.completed_by is None or scan.phase is not ScanPhase.FINISHED:
        raise ValueError("the scan is still running")
    scores, tallies = scan.scores(), [scan.tally(uid) for uid in scan.stack.ids]
    quality = quality_of(scan)
    return Summary(
        scores=scores,
        section=scan.section,
        spacing_mm=scan.stack.spacing_mm or 0.0,
        slices=len(scan.stack),
        missing=tuple(scan.stack.gaps()),
        notices=(*_notices(scan), *quality_notices(scan, quality)),
        completed_by=scan.completed_by,
        findings=findings(scores, tallies, scan.pixel_volumes_mm3(), norms, parts or {}),
        quality=quality_measures(scan, quality),
    )


def _notices(scan: Scan) -> Iterator[Notice]:
    """Slice notices once a reason with how many slices show it, then those of the scan."""
    slice_notices = {
        (notice.reason, uid): notice.message
        for uid, header in scan.headers.items()
        for notice in header.notices
    }
    counts = Counter(reason for reason, _ in slice_notices)
    for reason in sorted(counts):
        message = min(text for (other, _), text in slice_notices.items() if other == reason)
        yield Notice(reason, f"{message} ({counts[reason]} of {len(scan.headers)} slices)")
    yield from _geometry_notices(scan)
    yield from _lung_notices(scan)


def _geometry_notices(scan: Scan) -> Iterator[Notice]:
    stack = scan.stack
    if gaps := stack.gaps():
        places = ", ".join(f"{gap.from_mm:.1f} to {gap.to_mm:.1f} mm" for gap in gaps[:5])
        more = f" and {len(gaps) - 5} more" if len(gaps) > 5 else ""
        yield Notice(NoticeReason.GAP, f"Slices are missing at {places}{more}.")
    if stack.uneven():
        low, high = min(stack.steps), max(stack.steps)
        yield Notice(
            NoticeReason.UNEVEN_SPACING,
            f"Slices are unevenly spaced, {low:.2f} to {high:.2f} mm apart.",
        )
    thickest = max((header.geometry.thickness or 0 for header in scan.headers.values()), default=0)
    spacing = stack.spacing_mm
    if spacing and thickest > _OVERLAP * spacing:
        yield Notice(
            NoticeReason.OVERLAPPING_SLICES,
            f"Slices overlap: {thickest:g} mm thick, {spacing:g} mm apart.",
        )
    announced = scan.announced_section
    if spacing and announced and announced is not scan.section:
        yield Notice(
            NoticeReason.SECTION_CHANGED,
            f"The header announces {announced.value} sections, the slices lie as "
            f"{scan.section.value} ones; the model for {scan.section.value} sections was used.",
        )
    if scan.expected_slices and scan.expected_slices != len(stack):
        yield Notice(
            NoticeReason.SLICES_EXPECTED,
            f"{scan.expected_slices} slices were announced, {len(stack)} were accepted.",
        )


def _lung_notices(scan: Scan) -> Iterator[Notice]:
    if scan.scores().po is None:
        return
    bottom, top = lung_cut_off([scan.tally(uid).lung_px for uid in scan.stack.ids])
    if bottom:
        yield Notice(
            NoticeReason.LUNG_CUT_OFF_BOTTOM, "The lung is cut off at the lower end of the scan."
        )
    if top:
        yield Notice(
            NoticeReason.LUNG_CUT_OFF_TOP, "The lung is cut off at the upper end of the scan."
        )
