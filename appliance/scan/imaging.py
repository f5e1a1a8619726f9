"""How good the images of a scan are: measures for its report, and warnings."""

from __future__ import annotations

from collections.abc import Iterator

from appliance.quantify.coverage import lung_at_ends
from appliance.quantify.quality import ScanQuality, scan_quality
from appliance.scan.scan import Scan
from appliance.scan.verdicts import Notice, NoticeReason


def quality_of(scan: Scan) -> ScanQuality:
    """The quality of a scan, from its slices foot to head."""
    tallies = [scan.tally(uid) for uid in scan.stack.ids]
    areas = [scan.headers[uid].geometry.pixel_area_mm2 for uid in scan.stack.ids]
    return scan_quality([tally.quality for tally in tallies], areas)


def quality_measures(scan: Scan, quality: ScanQuality) -> dict[str, float]:
    """What the warnings are given by, by name; what could not be measured is not there.

    Those of :class:`ScanQuality`, and the lung on the lowest and the highest slice, in
    percent of that on the slice with most.
    """
    ends = lung_at_ends([scan.tally(uid).lung_px for uid in scan.stack.ids])
    if scan.scores().po is None or ends is None:
        return quality.measures
    return quality.measures | {
        "lung_at_bottom_percent": 100.0 * ends[0],
        "lung_at_top_percent": 100.0 * ends[1],
    }


def quality_notices(scan: Scan, quality: ScanQuality) -> Iterator[Notice]:
    """Warnings about noise, movement, metal and contrast agent.

    Of contrast agent only where no header tells of it, which is a warning already.
    """
    if quality.has_motion:
        yield Notice(
            NoticeReason.MOTION_ARTEFACT,
            f"The patient moved: {quality.moved_slices} slices "
            f"({quality.motion_percent:.0f} %) show dark streaks; what looks like opacity "
            "there may be none.",
        )
    if quality.has_strong_noise:
        yield Notice(
            NoticeReason.STRONG_NOISE,
            f"Noise is strong ({quality.noise_hu:.0f} HU in soft tissue) and moves the scores.",
        )
    if quality.has_metal:
        yield Notice(
            NoticeReason.METAL,
            f"There is metal, up to {quality.metal_mm2:.0f} mm2 in a slice; "
            "streaks from it may look like opacity.",
        )
    if quality.has_contrast and not _contrast_is_known(scan):
        yield Notice(
            NoticeReason.CONTRAST,
            f"Contrast was given, as the image shows (blood has {quality.blood_pool_hu:.0f} HU); "
            "vessels are brighter than lesions are expected to be.",
        )


def _contrast_is_known(scan: Scan) -> bool:
    return any(
        notice.reason is NoticeReason.CONTRAST
        for header in scan.headers.values()
        for notice in header.notices
    )
