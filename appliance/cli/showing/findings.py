"""What a report says beyond PO and PHO, as JSON and as tables."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table

from breathhold.v1 import types_pb2 as pb

Record = dict[str, object]


def findings_record(report: pb.Report) -> Record:
    """Scores by part of the lung, densities, severity; null or an empty list where not known."""
    return {
        "poi": report.scores.po / 100 if report.scores.HasField("po") else None,
        "lss": report.lss if report.HasField("lss") else None,
        "lhos": report.lhos if report.HasField("lhos") else None,
        "ct_score": report.ct_score if report.HasField("ct_score") else None,
        "lobes": [_region_record(region) for region in report.lobes],
        "sides": [_region_record(region) for region in report.sides],
        "segments": [_region_record(region) for region in report.segments],
        "opacities": _opacities_record(report.opacities) if report.HasField("opacities") else None,
        "normal": _normal_record(report.normal) if report.HasField("normal") else None,
        "severity_probability": (
            report.severity_probability if report.HasField("severity_probability") else None
        ),
        "lung_histogram": _histogram_record(report.lung_histogram),
        "lesion_histogram": _histogram_record(report.lesion_histogram),
    }


def _region_record(region: pb.Region) -> Record:
    return {
        "name": region.name,
        "lung_ml": region.lung_ml,
        "po": region.po if region.HasField("po") else None,
        "pho": region.pho if region.HasField("pho") else None,
        "poi": region.po / 100 if region.HasField("po") else None,
        "lesion_ml": region.lesion_ml,
        "high_opacity_ml": region.high_opacity_ml,
    }


def _opacities_record(found: pb.Opacities) -> Record:
    return {
        "ggo_ml": found.ggo_ml,
        "consolidation_ml": found.consolidation_ml,
        "ggo_percent": found.ggo_percent,
        "consolidation_percent": found.consolidation_percent,
    }


def _normal_record(found: pb.NormalComparison) -> Record:
    return {
        "hellinger": found.hellinger,
        "intersection_over_union": found.intersection_over_union,
        "reference": found.reference,
    }


def _histogram_record(histogram: pb.Histogram) -> Record | None:
    if not histogram.ml:
        return None
    return {
        "first_hu": histogram.first_hu,
        "bin_hu": histogram.bin_hu,
        "ml": list(histogram.ml),
    }


def findings_rows(report: pb.Report) -> Iterator[tuple[str, str]]:
    """Lines of the report's table, those that are known."""
    if report.HasField("lss"):
        yield "LSS, LHOS", f"{report.lss}, {report.lhos} of 20"
        yield "CT score", f"{report.ct_score} of 25"
    if report.HasField("opacities"):
        found = report.opacities
        yield "ground glass", _volume(found.ggo_ml, found.ggo_percent)
        yield "consolidation", _volume(found.consolidation_ml, found.consolidation_percent)
    if report.HasField("normal"):
        yield "HU compared with", report.normal.reference
        yield "  Hellinger distance", f"{report.normal.hellinger:.2f}"
        yield "  intersection over union", f"{report.normal.intersection_over_union:.2f}"
    if report.HasField("severity_probability"):
        yield "severe by the site's own fit", f"{100 * report.severity_probability:.0f} %"


def _volume(ml: float, percent: float) -> str:
    return f"{ml:.0f} ml, {percent:.1f} %"


def regions_table(report: pb.Report) -> Table | None:
    """Lobes, sides and segments; None where none are known."""
    known = {"lobe": report.lobes, "segment": report.segments}
    if not any(known.values()):
        return None
    title = " and ".join(name for name, parts in known.items() if parts)
    table = Table(title=f"By {title}", title_justify="left")
    table.add_column("")
    for name in ("lung ml", "PO", "PHO"):
        table.add_column(name, justify="right")
    for part in (report.lobes, report.sides, report.segments):
        for region in part:
            table.add_row(*_region_row(region))
        table.add_section()
    return table


def _region_row(region: pb.Region) -> tuple[str, str, str, str]:
    po = f"{region.po:.1f} %" if region.HasField("po") else "-"
    pho = f"{region.pho:.1f} %" if region.HasField("pho") else "-"
    return region.name.replace("_", " "), f"{region.lung_ml:.0f}", po, pho
