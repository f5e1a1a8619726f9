from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.evaluation import EvaluationError
from calibration.gate.verdict import Accuracy, Compared, judge

SHARE = st.floats(0.1, 1.0)
PERCENT = st.floats(0.0, 60.0)
ACCURACIES = st.builds(Accuracy, SHARE, SHARE, PERCENT, PERCENT)
MOVES = st.floats(-0.1, 0.1)


def moved(case: str, fp32: Accuracy, po: float = 0.0, pho: float = 0.0) -> Compared:
    assert fp32.po is not None
    assert fp32.pho is not None
    return Compared(case, fp32, replace(fp32, po=fp32.po + po, pho=fp32.pho + pho))


@given(st.lists(st.tuples(ACCURACIES, MOVES, MOVES), min_size=1, max_size=6))
def test_small_moves_pass(cases: list[tuple[Accuracy, float, float]]) -> None:
    verdict = judge([moved(str(i), a, po, pho) for i, (a, po, pho) in enumerate(cases)], 1.0)
    assert verdict.passed
    assert verdict.figures["po_moved_mean"] <= verdict.figures["po_moved_most"] <= 0.1 + 1e-9


@given(st.lists(ACCURACIES, min_size=1, max_size=6), st.sampled_from([-0.31, 0.31]), st.data())
def test_one_scan_that_moves_far_fails(
    cases: list[Accuracy], far: float, data: st.DataObject
) -> None:
    which = data.draw(st.integers(0, len(cases) - 1))
    name = data.draw(st.sampled_from(["po", "pho"]))
    compared = [
        moved(str(i), a, **({name: far} if i == which else {})) for i, a in enumerate(cases)
    ]
    verdict = judge(compared)
    assert not verdict.passed
    assert any(name.upper() in reason for reason in verdict.reasons)


@given(ACCURACIES, st.floats(0.0051, 0.09), st.sampled_from(["dice_lesion", "dice_lung"]))
def test_dice_may_rise_but_not_fall(fp32: Accuracy, change: float, name: str) -> None:
    better = replace(fp32, **{name: getattr(fp32, name) + change})
    assert judge([Compared("a", fp32, better)]).passed
    verdict = judge([Compared("a", better, fp32)])
    assert [name in reason for reason in verdict.reasons] == [True]


@given(ACCURACIES, MOVES, st.sampled_from([-0.31, 0.31]))
def test_what_passes_alone_must_pass_together_too(fp32: Accuracy, po: float, far: float) -> None:
    alone, joint = moved("a", fp32, po), moved("a", fp32, po=far).int8
    verdict = judge([replace(alone, together=joint)])
    assert judge([alone]).passed
    assert not verdict.passed
    assert all(reason.startswith("together with the other") for reason in verdict.reasons)
    assert verdict.figures["together_po_moved_most"] == pytest.approx(0.31)
    assert verdict.figures["po_moved_most"] == pytest.approx(abs(po))
    assert judge([replace(alone, together=alone.int8)]).passed


@given(st.floats(0.0, 0.999))
def test_slower_than_fp32_fails(speed: float) -> None:
    case = Compared("a", Accuracy(0.8, 0.9, 5.0, 1.0), Accuracy(0.8, 0.9, 5.0, 1.0))
    assert not judge([case], speed).passed
    assert judge([case]).passed
    assert "speed_up" not in judge([case]).figures


def test_a_lost_score_fails_and_missing_labels_are_left_out() -> None:
    whole = Accuracy(0.8, 0.9, 5.0, 1.0)
    partial = Accuracy(None, 0.95, 4.0, 0.5)
    assert judge([Compared("a", whole, whole), Compared("b", partial, partial)]).passed
    lost = Compared("c", whole, replace(whole, po=None, pho=None))
    assert not judge([Compared("a", whole, whole), lost]).passed


@pytest.mark.parametrize(
    "cases", [[], [Accuracy(None, None, 5.0, 1.0)], [Accuracy(0.8, 0.9, None, None)]]
)
def test_nothing_to_judge_by_is_an_error(cases: list[Accuracy]) -> None:
    with pytest.raises(EvaluationError, match="no case of the gate"):
        judge([Compared("a", one, one) for one in cases])
