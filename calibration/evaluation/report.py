"""The report page of an evaluation: one HTML file that needs no other."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template

from calibration.evaluation.agreement import agreement
from calibration.evaluation.contours import contour_picture
from calibration.evaluation.document import NO_EXTRAS, Extras
from calibration.evaluation.extra_tables import outcomes_section, radiomics_section
from calibration.evaluation.figures import CaseFigures
from calibration.evaluation.plots import against_reference, bland_altman, dice_bars, points
from calibration.evaluation.summary import overall, sections
from calibration.evaluation.tables import (
    agreement_table,
    cases_table,
    models_table,
    overall_table,
    regions_table,
)
from calibration.evaluation.worst import APART_MM, WrongSlice


@dataclass(frozen=True, slots=True)
class Report:
    """The files of a report: the page, and its figures as JSON."""

    page: Path
    document: Path


def write_report(
    folder: Path,
    figures: Sequence[CaseFigures],
    worst: Sequence[WrongSlice],
    content: dict[str, object],
    extras: Extras = NO_EXTRAS,
) -> Report:
    """Write ``evaluation.html`` and ``evaluation.json``.

    Parameters
    ----------
    folder
        Made if need be.
    figures
        One a case, at least one.
    worst
        The slices to show, worst first.
    content
        The :func:`document` of the same figures.
    extras
        What else was measured.
    """
    folder.mkdir(parents=True, exist_ok=True)
    report = Report(folder / "evaluation.html", folder / "evaluation.json")
    report.document.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
    report.page.write_text(page(figures, worst, content, extras), encoding="utf-8")
    return report


def page(
    figures: Sequence[CaseFigures],
    worst: Sequence[WrongSlice],
    content: dict[str, object],
    extras: Extras = NO_EXTRAS,
) -> str:
    """The page as HTML; `content` is the :func:`document` of the same figures."""
    template = files("calibration.evaluation").joinpath("page.html").read_text(encoding="utf-8")
    po = agreement([(one.po, one.po_reference) for one in figures])
    pho = agreement([(one.pho, one.pho_reference) for one in figures])
    models, versions = content["models"], content["versions"]
    assert isinstance(models, dict)
    assert isinstance(versions, dict)
    return Template(template).substitute(
        introduction=_introduction(figures, str(content["precision"])) + _failures(content),
        models=models_table(models),
        overall=overall_table(overall(figures), sections(figures)),
        agreement=agreement_table(po, pho),
        plots="".join(_image(picture, title) for picture, title in _plots(figures)),
        dice=_image(dice_bars(figures), "Dice of lesion and lung of each case"),
        outcomes=outcomes_section(extras.outcomes),
        radiomics=radiomics_section(extras.radiomics),
        cases=cases_table(figures),
        regions=regions_table(figures, "lesion") + regions_table(figures, "lung"),
        apart=f"{APART_MM:g}",
        slices="".join(_slice(one) for one in worst) or "<p>No slice has a wrong lesion pixel.</p>",
        footer=html.escape(", ".join(f"{name} {number}" for name, number in versions.items())),
    )


def _introduction(figures: Sequence[CaseFigures], precision: str) -> str:
    slices = sum(one.slices for one in figures)
    number = "1 scan" if len(figures) == 1 else f"{len(figures)} scans"
    return (
        f"{number} with {slices} slices, each run through the engines that the daemon runs, "
        f"lesion in {html.escape(precision)}."
    )


def _failures(content: dict[str, object]) -> str:
    failed = content["failed"]
    assert isinstance(failed, list)
    texts = [(html.escape(one["case"]), html.escape(one["error"])) for one in failed]
    return "".join(f"<br><b>{case}</b> could not be evaluated: {why}." for case, why in texts)


def _plots(figures: Sequence[CaseFigures]) -> list[tuple[bytes, str]]:
    pictures = []
    for score in ("po", "pho"):
        cases, name = points(figures, score), score.upper()
        pictures.append((against_reference(cases, f"{name}, found against reference"), name))
        pictures.append((bland_altman(cases, f"{name}, Bland-Altman"), f"{name}, Bland-Altman"))
    return pictures


def _slice(one: WrongSlice) -> str:
    where = f"{html.escape(one.case)}, slice {one.number} of {one.slices} from the feet"
    wrong = f"missed {one.missed:.1f} %, painted {one.painted:.1f} %"
    caption = f"<figcaption><b>{where}</b>: {wrong}</figcaption>"
    return f"<figure>{_image(contour_picture(one), where, 'jpeg')}{caption}</figure>"


def _image(picture: bytes, title: str, kind: str = "png") -> str:
    content = base64.b64encode(picture).decode("ascii")
    return f'<img alt="{title}" src="data:image/{kind};base64,{content}">'
