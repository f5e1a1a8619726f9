"""Repeatability by its formula, scans that are measured twice, and the command."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from calibration import repeatability
from calibration.repeatability import AGAIN, SHIFT, scanned_again, summary
from tests.evaluation.made_cases import made_case, made_chest, write_case
from tests.tiny_models import write_tiny_repository


def test_the_coefficient_is_that_of_bland_and_altman() -> None:
    """1.96 sqrt(2) times the within-subject standard deviation, half of the squares' mean."""
    found = repeatability.repeatability([(1.0, 1.2), (10.0, 9.0), (20.0, 22.0), (2.0, 2.0)])
    within = math.sqrt((0.2**2 + 1.0**2 + 2.0**2) / 4 / 2)
    assert found.coefficient == pytest.approx(1.96 * math.sqrt(2) * within)
    assert (found.pairs, found.worst) == (4, 2.0)
    assert found.bias == pytest.approx((0.2 - 1 + 2) / 4)
    assert found.share == pytest.approx(1.96 * math.sqrt(((1 / 10) ** 2 + (2 / 22) ** 2) / 2))


def test_95_of_100_pairs_lie_closer_together() -> None:
    random = np.random.default_rng(3)
    pairs = 20 + random.normal(0, 0.4, (2000, 2))
    found = repeatability.repeatability([tuple(pair) for pair in pairs])
    assert np.mean(np.abs(np.diff(pairs)) < found.coefficient) == pytest.approx(0.95, abs=0.01)


@pytest.mark.parametrize("order", AGAIN.values())
def test_a_scan_moves_and_gets_fresh_noise(order: int) -> None:
    z, y, x = np.mgrid[0:12, 0:40, 0:40]
    ramp = -900 + 30 * z + 8 * y + 5 * x
    again = scanned_again(made_case(ramp, ramp, ramp), order, 1)
    moved = (again.hu - ramp)[4:-4, 4:-4, 4:-4]
    expected = -(30 * SHIFT[0] + 8 * SHIFT[1] + 5 * SHIFT[2])
    assert moved.mean() == pytest.approx(expected, abs=0.6)
    assert moved.std() == pytest.approx(10, rel=0.1)
    assert not np.array_equal(again.hu, scanned_again(made_case(ramp, ramp, ramp), order, 2).hu)


def test_scores_that_a_scan_lacks_are_left_out() -> None:
    empty = dict.fromkeys(("po", "pho", "ihu", "lung_ml", "lesion_ml", "high_opacity_ml"))
    found = summary([({**empty, "po": 1.0}, {**empty, "po": 2.0}), (empty, {**empty, "po": 2.0})])
    assert list(found) == ["po"]
    assert (found["po"].pairs, found["po"].bias) == (1, 1.0)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        write_case(tmp_path / "data" / name, made_chest(name))
    models = write_tiny_repository(tmp_path / "models")
    out = tmp_path / "new" / "figures.json"
    options = ["--data", str(tmp_path / "data"), "--models", str(models), "--out", str(out)]
    repeatability.main(options)
    content = json.loads(out.read_text())
    assert json.loads(capsys.readouterr().out) == content
    assert {*content["cases"]} == {"a", "b"}
    first, moved = content["cases"]["a"]["first"], content["cases"]["a"]["moved"]
    assert first["po"] > 0
    assert first != moved
    assert content["repeatability"]["softened"]["po"]["pairs"] == 2
    with pytest.raises(SystemExit) as caught:
        repeatability.main(["--data", str(tmp_path / "none")])
    assert caught.value.code == 1
    assert "is no folder" in capsys.readouterr().err
