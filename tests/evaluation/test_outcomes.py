"""Tables of outcomes are read and compared on cases laid out by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calibration.evaluation import CaseFigures, EvaluationError, compare
from calibration.evaluation.extra_tables import outcomes_section
from calibration.evaluation.outcomes import Outcome, compare_outcomes, read_outcomes
from tests.evaluation.made_cases import made_case, made_masks


def scored(case: str, po: float | None, ihu: float | None = -400.0) -> CaseFigures:
    one = np.ones((1, 2, 2))
    plain = compare(made_case(one, one), made_masks(one, one))
    return replace(plain, case=case, po_whole=po, ihu_whole=ihu)


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_table_is_read(tmp_path: Path) -> None:
    path = write(
        tmp_path / "t.csv",
        "\ufeffCase, severe,Previous, direction,remark",
        "a,1,,,first",
        "b, no, a, Decreased",
        "c,,b,unchanged,",
    )
    assert read_outcomes(path) == [
        Outcome("a", True),
        Outcome("b", False, "a", "decreased"),
        Outcome("c", None, "b", "unchanged"),
    ]


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (("severe", "1"), "no column case"),
        (("case", "a"), "neither a column severe nor previous"),
        (("case,previous", "a,b"), "previous and direction belong together"),
        (("case,severe", "a,2"), "line 2: severe is '2', not 0 or 1"),
        (("case,severe", "a,1", ",0"), "line 3: no case is named"),
        (("case,severe", "a,1", "a,0"), "more than one line for a"),
        (("case,previous,direction", "a,b,"), "line 2: previous and direction belong"),
        (("case,previous,direction", "a,b,better"), "direction is 'better', not unchanged, inc"),
        (("case,previous,direction", "a,a,increased"), "a does not come before itself"),
    ],
)
def test_what_cannot_be_used_is_named(
    tmp_path: Path, lines: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(EvaluationError, match=sentence):
        read_outcomes(write(tmp_path / "t.csv", *lines))


def test_severity_by_po_and_by_ihu() -> None:
    """PO of severe 30 12, of others 2 5 15: five of six pairs the right way round."""
    figures = [scored(name, po) for name, po in zip("abcde", (30, 12, 2, 5, 15), strict=True)]
    figures[0] = replace(figures[0], ihu_whole=None)
    outcomes = [Outcome(name, name in "ab") for name in "abcde"]
    found = compare_outcomes(figures, [*outcomes, Outcome("f", True)])
    po, ihu = found.severity["po"], found.severity["ihu"]
    assert po is not None
    assert (po.severe, po.others, po.auc) == (2, 3, pytest.approx(5 / 6))
    assert po.cut is not None
    assert (po.cut.value, po.cut.youden) == (8.5, pytest.approx(2 / 3))
    assert ihu is None
    assert found.not_evaluated == ("f",)
    assert json.dumps(found.record(), allow_nan=False)


def test_directions_against_the_radiologist() -> None:
    """Within the dead band is unchanged; by sign alone as it was published."""
    figures = [
        scored(name, po)
        for name, po in (("a", 10.0), ("b", 20.0), ("c", 20.1), ("d", 5.0), ("e", None))
    ]
    outcomes = [
        Outcome("b", None, "a", "increased"),
        Outcome("c", None, "b", "increased"),
        Outcome("d", None, "c", "decreased"),
        Outcome("a", None, "d", "decreased"),
        Outcome("e", None, "d", "decreased"),
    ]
    found = compare_outcomes(figures, outcomes)
    assert [pair.found for pair in found.pairs] == [
        "increased",
        "unchanged",
        "decreased",
        "increased",
    ]
    assert [round(pair.po_change, 6) for pair in found.pairs] == [10.0, 0.1, -15.1, 5.0]
    assert found.direction is not None
    assert found.direction.observed == 0.5
    assert found.direction.kappa == pytest.approx((0.5 - 0.375) / (1 - 0.375))
    assert found.direction_of_changed is not None
    assert found.direction_of_changed.observed == 0.75
    assert found.direction_of_changed.kappa == pytest.approx(0.5)
    assert found.not_evaluated == ("e",)


def test_a_scan_called_unchanged_is_no_changed_one() -> None:
    figures = [scored("a", 10.0), scored("b", 10.0)]
    found = compare_outcomes(figures, [Outcome("b", None, "a", "unchanged")])
    assert found.direction is not None
    assert found.direction.observed == 1.0
    assert found.direction_of_changed is None


def test_no_change_at_all_has_no_sign() -> None:
    figures = [scored("a", 0.0), scored("b", 0.0)]
    found = compare_outcomes(figures, [Outcome("b", None, "a", "decreased")])
    assert found.direction_of_changed is not None
    assert found.direction_of_changed.observed == 0.0


def test_the_page_shows_them() -> None:
    figures = [scored(name, po) for name, po in (("a<", 30.0), ("b", 12.0), ("c", 2.0), ("d", 5))]
    outcomes = [
        Outcome("a<", True),
        Outcome("b", True, "a<", "decreased"),
        Outcome("c", False),
        Outcome("d", False, "c", "increased"),
        Outcome("<gone>", True),
    ]
    page = outcomes_section(compare_outcomes(figures, outcomes))
    assert "1.000 (1.000 to 1.000)" in page
    assert "100.0 % (15.8 to 100.0), 2 of 2" in page
    assert "a&lt;" in page
    assert "&lt;gone&gt;" in page
    assert page.count("data:image/png;base64,") == 1
    assert "<td>-18.00</td>" in page
    nothing = outcomes_section(compare_outcomes(figures, [Outcome("b", None, "a<", "decreased")]))
    assert "data:image" not in nothing
    assert "Not measured" in outcomes_section(None)
