"""Warnings about the images, and the measures they are given by."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from appliance.quantify.movement import MotionCounts
from appliance.quantify.quality import SliceQuality, measure_slice
from appliance.quantify.tally import SliceTally
from appliance.scan.events import CompletedBy, SlabReady
from appliance.scan.scan import Scan
from appliance.scan.summary import Summary, summarize
from appliance.scan.verdicts import Notice, NoticeReason
from tests.scan.strategies import SERIES, header, policy

MOVED = SliceQuality(motion=MotionCounts(500, 20, 500, 20))
STILL = SliceQuality(motion=MotionCounts(500, 0, 500, 0))


def summary_of(
    qualities: list[SliceQuality], notices: tuple[Notice, ...] = (), lung_px: int = 100_000
) -> Summary:
    """A scan of slices with these qualities, foot to head."""
    scan = Scan(SERIES, policy())
    places = {}
    slabs = []
    for number, quality in enumerate(qualities):
        item = replace(header(10.0 * number, thickness=10.0), notices=notices)
        places[item.sop_instance_uid] = quality
        slabs += [event.slab for event in scan.offer(item) if isinstance(event, SlabReady)]
    finished = scan.complete(CompletedBy.END)
    slabs += [event.slab for event in finished if isinstance(event, SlabReady)]
    for slab in slabs:
        scan.record(slab, SliceTally(lung_px=lung_px, quality=places[slab.target]))
    return summarize(scan)


def reasons(summary: Summary) -> list[NoticeReason]:
    ours = (
        NoticeReason.MOTION_ARTEFACT,
        NoticeReason.STRONG_NOISE,
        NoticeReason.METAL,
        NoticeReason.CONTRAST,
    )
    return [notice.reason for notice in summary.notices if notice.reason in ours]


def soft_tissue(hu: float, noise: float) -> SliceQuality:
    """A slice of two lungs with even tissue around them."""
    plane = np.full((256, 256), hu) + np.random.default_rng(1).normal(0, noise, (256, 256))
    lung = np.zeros(plane.shape, bool)
    lung[60:200, 30:100] = lung[60:200, 150:220] = True
    plane[lung] = -850
    return measure_slice(np.rint(plane).astype(np.int16), lung, (1.4, 1.4))


def test_a_good_scan_has_measures_and_no_warning() -> None:
    summary = summary_of([soft_tissue(45, 10)] * 14)
    assert reasons(summary) == []
    assert summary.quality["noise_hu"] == pytest.approx(10, abs=2)
    assert summary.quality["blood_pool_hu"] == pytest.approx(45, abs=8)
    assert summary.quality["metal_mm2"] == 0
    assert summary.quality["motion_percent"] == 0
    assert summary.quality["lung_at_bottom_percent"] == 100
    assert summary.quality["lung_at_top_percent"] == 100


def test_movement_is_a_warning_with_its_share() -> None:
    summary = summary_of([*[STILL] * 10, *[MOVED] * 5])
    assert reasons(summary) == [NoticeReason.MOTION_ARTEFACT]
    (words,) = [one.message for one in summary.notices if one.reason == "MOTION_ARTEFACT"]
    assert "5 slices (33 %)" in words
    assert summary.quality["motion_percent"] == pytest.approx(100 / 3)


def test_noise_is_a_warning_and_silences_the_one_about_movement() -> None:
    noise = soft_tissue(45, 90)
    summary = summary_of([replace(noise, motion=MOVED.motion)] * 14)
    assert reasons(summary) == [NoticeReason.STRONG_NOISE]


def test_metal_is_a_warning() -> None:
    assert reasons(summary_of([*[STILL] * 13, replace(STILL, metal_px=100)])) == [
        NoticeReason.METAL
    ]


def test_contrast_is_told_from_the_image_and_said_once() -> None:
    enhanced = soft_tissue(150, 10)
    assert NoticeReason.CONTRAST in reasons(summary_of([enhanced] * 14))
    known = Notice(NoticeReason.CONTRAST, "Contrast was given.", "1.2")
    assert reasons(summary_of([enhanced] * 14, (known,))) == [NoticeReason.CONTRAST]


def test_without_lung_nothing_is_said_of_its_ends() -> None:
    summary = summary_of([STILL] * 14, lung_px=0)
    assert "lung_at_top_percent" not in summary.quality
