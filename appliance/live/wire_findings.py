"""What is found beyond PO and PHO as messages of the wire."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.quantify.histogram import BIN_HU, FIRST_HU
from appliance.quantify.normal import NormalComparison
from appliance.quantify.opacities import Opacities
from appliance.quantify.regions import Region
from appliance.scan.findings import Densities, Findings, Lobes
from breathhold.v1 import types_pb2 as pb


def add_findings(report: pb.Report, findings: Findings) -> None:
    """Fill in what is known."""
    if findings.densities:
        _add_densities(report, findings.densities)
    if findings.lobes:
        _add_lobes(report, findings.lobes)
    report.segments.extend(map(_region, findings.segments))
    if findings.severity_probability is not None:
        report.severity_probability = findings.severity_probability


def _add_densities(report: pb.Report, densities: Densities) -> None:
    report.opacities.CopyFrom(_opacities(densities.opacities))
    report.lung_histogram.CopyFrom(_histogram(densities.lung))
    report.lesion_histogram.CopyFrom(_histogram(densities.lesion))
    if densities.normal:
        report.normal.CopyFrom(_normal(densities.normal))


def _add_lobes(report: pb.Report, lobes: Lobes) -> None:
    report.lobes.extend(map(_region, lobes.lobes))
    report.sides.extend(map(_region, lobes.sides))
    report.lss = lobes.scores.lss
    report.lhos = lobes.scores.lhos
    report.ct_score = lobes.scores.ct_score


def _region(region: Region) -> pb.Region:
    return pb.Region(
        name=region.name,
        lung_ml=region.lung_ml,
        po=region.po,
        pho=region.pho,
        lesion_ml=region.lesion_ml,
        high_opacity_ml=region.high_opacity_ml,
    )


def _opacities(found: Opacities) -> pb.Opacities:
    return pb.Opacities(
        ggo_ml=found.ggo_ml,
        consolidation_ml=found.consolidation_ml,
        ggo_percent=found.ggo_percent,
        consolidation_percent=found.consolidation_percent,
    )


def _histogram(volumes_ml: Sequence[float]) -> pb.Histogram:
    return pb.Histogram(first_hu=FIRST_HU, bin_hu=BIN_HU, ml=volumes_ml)


def _normal(found: NormalComparison) -> pb.NormalComparison:
    return pb.NormalComparison(
        hellinger=found.hellinger,
        intersection_over_union=found.intersection_over_union,
        reference=found.reference,
    )
