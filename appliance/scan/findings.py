"""What the final report says beyond PO and PHO: densities, lobes, segments, severity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from appliance.quantify.histogram import volume_histogram
from appliance.quantify.lobes import LobeScores, lobe_scores
from appliance.quantify.normal import NormalComparison, compare_with_normal
from appliance.quantify.norms import Norms
from appliance.quantify.opacities import Opacities, opacities
from appliance.quantify.regions import Region, RegionTallies, sum_regions, sum_sides
from appliance.quantify.scores import Scores
from appliance.quantify.tally import SliceTally


@dataclass(frozen=True, slots=True)
class Densities:
    """Lesion by its density, and volumes by HU in ml (:mod:`appliance.quantify.histogram`)."""

    opacities: Opacities
    lung: tuple[float, ...]
    lesion: tuple[float, ...]
    normal: NormalComparison | None


@dataclass(frozen=True, slots=True)
class Lobes:
    """The five lobes, the two sides, and the scores that are summed over lobes."""

    lobes: tuple[Region, ...]
    sides: tuple[Region, ...]
    scores: LobeScores


@dataclass(frozen=True, slots=True)
class Findings:
    """What is None, or empty, is not known."""

    densities: Densities | None = None
    lobes: Lobes | None = None
    severity_probability: float | None = None
    segments: tuple[Region, ...] = ()


def findings(
    scores: Scores,
    tallies: Sequence[SliceTally],
    pixel_volumes_mm3: Sequence[float],
    norms: Norms,
    parts: Mapping[str, RegionTallies],
) -> Findings:
    """The findings of a scan; none without a score.

    Parameters
    ----------
    scores
        Of the scan.
    tallies, pixel_volumes_mm3
        See :func:`appliance.quantify.scores.volumes`.
    norms
        What the scan is measured against.
    parts
        Counts of the same slices by "lobes" and "segments", where they were told apart.
    """
    if scores.po is None:
        return Findings()
    severity, lobes, segments = norms.severity, parts.get("lobes"), parts.get("segments")
    return Findings(
        _densities(scores, tallies, pixel_volumes_mm3, norms),
        _lobes(lobes, pixel_volumes_mm3) if lobes else None,
        severity.probability(scores.poi, scores.volumes.ihu) if severity else None,
        _regions(segments, pixel_volumes_mm3) if segments else (),
    )


def _densities(
    scores: Scores,
    tallies: Sequence[SliceTally],
    pixel_volumes_mm3: Sequence[float],
    norms: Norms,
) -> Densities:
    lung = volume_histogram([tally.lung_hu for tally in tallies], pixel_volumes_mm3)
    lesion = volume_histogram([tally.lesion_hu for tally in tallies], pixel_volumes_mm3)
    normal = compare_with_normal(lung, norms.normal) if norms.normal else None
    return Densities(opacities(scores.volumes), lung, lesion, normal)


def _lobes(tallies: RegionTallies, pixel_volumes_mm3: Sequence[float]) -> Lobes:
    lobes = _regions(tallies, pixel_volumes_mm3)
    return Lobes(lobes, sum_sides(lobes), lobe_scores(lobes))


def _regions(tallies: RegionTallies, pixel_volumes_mm3: Sequence[float]) -> tuple[Region, ...]:
    return sum_regions(tallies.names, tallies.slices, pixel_volumes_mm3)
