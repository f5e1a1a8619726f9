"""What all cases together measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from calibration.evaluation.agreement import agreement
from calibration.evaluation.figures import CaseFigures, RegionFigures, region_name

#: Thick sections with less than this labelled are too mild for Dice to mean much, percent.
WITH_OPACITY_PO = 0.5
_LARGER_IS_BETTER = ("dice", "jaccard")
_NO_ERROR = ("volume_ml", "volume_reference_ml", "hu", "hu_reference")
_DIFFERENCES = (
    "volume_difference_ml",
    "volume_difference_percent",
    "hu_difference",
    "hu_difference_percent",
)


def overall(figures: Sequence[CaseFigures]) -> dict[str, object]:
    """Figures over cases, as JSON takes them.

    Returns
    -------
    ``cases``, ``cases_without_score`` (no lung was found, so that there is no PO),
    and of every measure its mean and its worst over the cases that
    have it (``dice_lesion_mean``, ``dice_lesion_worst``); of differences the
    signed mean and the mean and worst size (``hu_difference_lung_mean``,
    ``..._mean_absolute``, ``..._worst``). ``po_error_mean``, ``po_error_worst``,
    ``pho_error_*``: size of the error in points; ``po_error_percent_*``: in percent
    of the reference. ``po_whole_worst``: the largest
    PO over whole scans. ``po``, ``pho``: :class:`Agreement` with the reference.
    ``sections``: the means, the worst and the errors again for ``thin``,
    ``medium`` and ``thick``, where there are such, and for ``thick_with_opacity``:
    those whose reference PO is at least 0.5.
    """
    po = agreement([(one.po, one.po_reference) for one in figures])
    pho = agreement([(one.pho, one.pho_reference) for one in figures])
    return _means(figures) | {
        "po": po.record(),
        "pho": pho.record(),
        "sections": sections(figures),
    }


def sections(figures: Sequence[CaseFigures]) -> dict[str, dict[str, object]]:
    """The means, the worst and the errors by section; see :func:`overall`."""
    return {name: _means(part) for name, part in _parts(figures).items()}


def _parts(figures: Sequence[CaseFigures]) -> dict[str, list[CaseFigures]]:
    parts: dict[str, list[CaseFigures]] = {}
    for section in ("thin", "medium", "thick"):
        parts[section] = [one for one in figures if one.section == section]
    parts["thick_with_opacity"] = [
        one
        for one in parts["thick"]
        if one.po_reference is not None and one.po_reference >= WITH_OPACITY_PO
    ]
    return {name: part for name, part in parts.items() if part}


def _means(figures: Sequence[CaseFigures]) -> dict[str, object]:
    result: dict[str, object] = {
        "cases": len(figures),
        "cases_without_score": sum(one.po is None for one in figures),
    }
    for region in ("lesion", "lung"):
        regions: list[RegionFigures] = [getattr(one, region) for one in figures]
        result |= _region_means(regions, region)
    for name in ("dice_lesion_b", "dice_annotators"):
        result |= _mean_and_worst(name, _present(figures, name), largest=False)
    for name in ("po_error", "po_error_percent", "pho_error"):
        sizes = [abs(value) for value in _present(figures, name)]
        result |= _mean_and_worst(name, sizes, largest=True)
    for name in ("po_whole", "pho_whole", "seconds"):
        result |= _mean_and_worst(name, _present(figures, name), largest=True)
    return result


def _region_means(regions: Sequence[RegionFigures], region: str) -> dict[str, float | None]:
    result: dict[str, float | None] = {}
    names = [field.name for field in fields(RegionFigures) if field.name not in _NO_ERROR]
    for name in names:
        values = _present(regions, name)
        largest = name not in _LARGER_IS_BETTER
        result |= _mean_and_worst(region_name(name, region), values, largest=largest)
    for name in _DIFFERENCES:
        values = _present(regions, name)
        stem = region_name(name, region)
        sizes = [abs(value) for value in values]
        result[f"{stem}_mean"] = _mean(values)
        result[f"{stem}_mean_absolute"] = _mean(sizes)
        result[f"{stem}_worst"] = max(sizes, default=None)
    return result


def _present(holders: Sequence[object], name: str) -> list[float]:
    return [value for one in holders if (value := getattr(one, name)) is not None]


def _mean_and_worst(name: str, values: list[float], *, largest: bool) -> dict[str, float | None]:
    worst = max(values, default=None) if largest else min(values, default=None)
    return {f"{name}_mean": _mean(values), f"{name}_worst": worst}


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
