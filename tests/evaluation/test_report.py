from __future__ import annotations

import html.parser
import json
import re
from pathlib import Path

import numpy as np
import pytest

from calibration.evaluation import CaseFigures, compare, document, load_engines
from calibration.evaluation.report import write_report
from calibration.evaluation.worst import WrongSlice, worst_slices
from engines.segmenter import Segmenter
from tests.evaluation.made_cases import made_case, made_chest, made_masks
from tests.tiny_models import write_tiny_repository


class Images(html.parser.HTMLParser):
    """The images of a page, and whatever it would fetch from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.kinds: list[str] = []
        self.foreign: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name in ("src", "href") and value:
                data = re.match(r"data:image/(\w+);base64,[A-Za-z0-9+/=]{1000,}$", value)
                (self.kinds if data else self.foreign).append(data[1] if data else value)


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    return load_engines(write_tiny_repository(tmp_path_factory.mktemp("models")))[0]


def evaluated(name: str, rows_missed: int) -> tuple[CaseFigures, list[WrongSlice]]:
    """A chest of whose lesion the lowest rows were missed."""
    case = made_chest(name)
    lesion = case.lesion == 1
    last = int(np.flatnonzero(lesion.any(axis=(0, 2)))[-1])
    lesion[:, last + 1 - rows_missed :] = False
    found = made_masks(lesion, case.lung)
    return compare(case, found), worst_slices(case, found)


def test_one_page_with_all_its_pictures(tmp_path: Path, segmenter: Segmenter) -> None:
    done = [evaluated(name, missed) for name, missed in (("a<b", 0), ("mild", 1), ("bad", 4))]
    figures = [one for one, _ in done]
    worst = [wrong for _, slices in done for wrong in slices]
    report = write_report(
        tmp_path / "new" / "folder",
        figures,
        worst,
        document(figures, segmenter, {"<c>": "no & air"}),
    )
    page = report.page.read_text(encoding="utf-8")
    images = Images()
    images.feed(page)
    assert images.kinds == ["png"] * 5 + ["jpeg"] * len(worst)
    assert not images.foreign
    assert "Research software: nothing here is a diagnosis" in page
    assert "a&lt;b" in page
    assert "a<b" not in page
    assert "<b>&lt;c&gt;</b> could not be evaluated: no &amp; air." in page
    assert "$" not in page
    for one in figures[1:]:
        assert f"<td>{one.lesion.dice:.3f}</td>" in page
    content = json.loads(report.document.read_text())
    assert [case["case"] for case in content["cases"]] == ["a<b", "mild", "bad"]
    assert set(content["models"]) == {"lesion", "lung"}
    assert content["precision"] == "fp32"
    assert content["overall"]["dice_lesion_worst"] == figures[2].lesion.dice


def test_a_case_without_labels_has_a_page_too(tmp_path: Path, segmenter: Segmenter) -> None:
    nothing = np.full((2, 8, 8), 255)
    figures = compare(made_case(nothing, nothing), made_masks(nothing * 0, nothing * 0))
    report = write_report(tmp_path, [figures], [], document([figures], segmenter, {}))
    assert "No slice has a wrong lesion pixel" in report.page.read_text(encoding="utf-8")
