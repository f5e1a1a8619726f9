"""The tables of an evaluation as HTML."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

from calibration.evaluation.agreement import Agreement, Correlation
from calibration.evaluation.figures import CaseFigures, RegionFigures, region_name

Means = Mapping[str, object]
_COLUMNS = {
    "thin": "thin",
    "medium": "medium",
    "thick": "thick",
    "thick_with_opacity": "thick, PO &ge; 0.5",
}
_REGION_HEADS = (
    "",
    "Dice",
    "Jaccard",
    "false negative",
    "false positive",
    "average Hausdorff, mm",
    "mean surface, mm",
    "volume, ml",
    "labelled, ml",
    "difference, %",
    "mean HU",
    "labelled HU",
    "difference, %",
)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "") -> str:
    """An HTML table; heads, cells and caption are HTML already."""
    head = "".join(f"<th>{cell}</th>" for cell in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    title = f"<caption>{caption}</caption>" if caption else ""
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def models_table(models: Mapping[str, Mapping[str, object]]) -> str:
    """Which models made the figures."""
    rows = [
        [
            html.escape(str(cell))
            for cell in (
                name,
                ", ".join(map(str, _list(model["sections"]))),
                model["version"],
                model["precision"],
                f"{model['runtime']} ({model['device']})",
                str(model["sha256"])[:12],
            )
        ]
        for name, model in models.items()
    ]
    return table(["model", "sections", "version", "precision", "runtime", "SHA-256"], rows)


def overall_table(overall: Means, sections: Mapping[str, Means]) -> str:
    """Mean and worst of each measure, over all cases and by section."""
    parts = [overall, *(sections[name] for name in _COLUMNS if name in sections)]
    heads = ["mean (worst)", "all", *(text for name, text in _COLUMNS.items() if name in sections)]
    rows = [
        [label, *(str(part[name]) for part in parts)]
        for label, name in (("cases", "cases"), ("cases without lung", "cases_without_score"))
    ]
    for label, name, digits in _overall_rows():
        rows.append([label, *(_mean_worst(part, name, digits) for part in parts)])
    return table(heads, rows)


def agreement_table(po: Agreement, pho: Agreement) -> str:
    """The statistics of PO and PHO beside each other."""
    sides = [_agreement_cells(po), _agreement_cells(pho)]
    rows = [[label, sides[0][label], sides[1][label]] for label in sides[0]]
    return table(["", "PO", "PHO"], rows)


def cases_table(figures: Sequence[CaseFigures]) -> str:
    """PO, PHO and Dice of each case."""
    heads = ["case", "section", "slices", "with both labels", "lesion Dice", "lung Dice"]
    heads += ["PO found", "reference", "PHO found", "reference", "PO whole scan"]
    heads += ["Dice with second annotation", "of the annotations", "s"]
    rows = []
    for one in figures:
        scores = (one.po, one.po_reference, one.pho, one.pho_reference, one.po_whole)
        dices = (one.dice_lesion_b, one.dice_annotators)
        row = [html.escape(one.case), one.section, str(one.slices)]
        row += [str(one.slices_with_both_labels), number(one.lesion.dice), number(one.lung.dice)]
        row += [*(number(value, 2) for value in scores), *map(number, dices)]
        rows.append([*row, number(one.seconds, 1)])
    return table(heads, rows, "PO and PHO in percent of lung")


def regions_table(figures: Sequence[CaseFigures], region: str) -> str:
    """All measures of lesion or lung of each case."""
    rows = [[html.escape(one.case), *_region_cells(getattr(one, region))] for one in figures]
    return table(_REGION_HEADS, rows, region.capitalize())


def number(value: float | None, digits: int = 3) -> str:
    """A figure; a dash where there is none."""
    return "-" if value is None else f"{value:.{digits}f}"


def _overall_rows() -> list[tuple[str, str, int]]:
    """Label, name in the document and digits of each row."""
    rows = []
    for region in ("lesion", "lung"):
        for label, figure, digits in (
            ("Dice", "dice", 3),
            ("Jaccard", "jaccard", 3),
            ("false negative", "false_negative", 3),
            ("false positive", "false_positive", 3),
            ("average Hausdorff, mm", "average_hausdorff_mm", 2),
            ("mean surface distance, mm", "mean_surface_distance_mm", 2),
        ):
            rows.append((f"{region}: {label}", region_name(figure, region), digits))
        for label, figure in (
            ("volume difference, ml", "volume_difference_ml"),
            ("volume difference, %", "volume_difference_percent"),
            ("HU difference", "hu_difference"),
            ("HU difference, %", "hu_difference_percent"),
        ):
            name = f"{region_name(figure, region)}|absolute"
            rows.append((f"{region}: {label}, without sign", name, 1))
    rows += [("PO error, points", "po_error", 2), ("PHO error, points", "pho_error", 2)]
    rows += [("PO error, % of the reference", "po_error_percent", 1)]
    rows += [("PO of whole scans", "po_whole", 2), ("seconds", "seconds", 1)]
    return rows


def _mean_worst(part: Means, name: str, digits: int) -> str:
    stem, _, absolute = name.partition("|")
    mean = _number(part[f"{stem}_mean_{absolute}" if absolute else f"{stem}_mean"])
    worst = _number(part[f"{stem}_worst"])
    return "-" if mean is None else f"{number(mean, digits)} ({number(worst, digits)})"


def _agreement_cells(found: Agreement) -> dict[str, str]:
    line, chi, limits = found.regression, found.chi_squared, found.bland_altman
    cells = {
        "cases": str(found.cases),
        "error, mean (worst), points": "-"
        if found.error_mean is None
        else f"{number(found.error_mean, 2)} ({number(found.error_worst, 2)})",
        "Pearson": _correlation(found.pearson),
        "Spearman": _correlation(found.spearman),
        "Kendall": _correlation(found.kendall),
        "regression: slope": "-",
        "regression: intercept": "-",
        "r&sup2;": "-",
        "&chi;&sup2; over the bins": "-",
        "Bland-Altman bias (95 % limits)": "-",
    }
    if line:
        cells["regression: slope"] = _interval(line.slope, line.slope_interval)
        cells["regression: intercept"] = _interval(line.intercept, line.intercept_interval)
        cells["r&sup2;"] = number(line.r2)
    if chi:
        cells["&chi;&sup2; over the bins"] = f"{chi.statistic:.2f} ({_p(chi.p)})"
    if limits:
        cells["Bland-Altman bias (95 % limits)"] = _interval(
            limits.bias, (limits.lower, limits.upper)
        )
    return cells


def _region_cells(one: RegionFigures) -> list[str]:
    overlaps = (one.dice, one.jaccard, one.false_negative, one.false_positive)
    distances = (one.average_hausdorff_mm, one.mean_surface_distance_mm)
    rest = (one.volume_ml, one.volume_reference_ml, one.volume_difference_percent)
    hu = (one.hu, one.hu_reference, one.hu_difference_percent)
    cells = [number(value) for value in overlaps] + [number(value, 2) for value in distances]
    return cells + [number(value, 1) for value in (*rest, *hu)]


def _correlation(found: Correlation | None) -> str:
    return "-" if found is None else f"{found.coefficient:.3f} ({_p(found.p)})"


def _p(value: float) -> str:
    return "p &lt; 0.001" if value < 0.001 else f"p = {value:.3f}"


def _interval(value: float, interval: tuple[float, float]) -> str:
    return f"{value:.3f} ({interval[0]:.3f} to {interval[1]:.3f})"


def _number(value: object) -> float | None:
    return value if isinstance(value, float) else None


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
