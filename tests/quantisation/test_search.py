from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.quantisation.ranges import RangeTable
from calibration.quantisation.search import Closeness, Judge, best_table, keep_worst

TABLE = RangeTable("ab", "min-max", ("one",), {})


def harmful(harms: Mapping[str, float], tolerance: float) -> Judge:
    """Each quantised layer does its own harm; so much altogether is tolerated."""

    def judge(table: RangeTable) -> Closeness:
        harm = sum(value for layer, value in harms.items() if layer not in table.kept)
        return Closeness(harm, 1.0 if harm <= tolerance else 0.9, 0.0)

    return judge


@given(st.integers(1, 40), st.data())
def test_the_one_layer_that_harms_is_found(number: int, data: st.DataObject) -> None:
    layers = [f"layer{place}" for place in range(number)]
    worst = data.draw(st.sampled_from(layers))
    harms = {layer: 10.0 if layer == worst else 0.001 for layer in layers}
    assert keep_worst(TABLE, layers, harmful(harms, 1.0)).kept == (worst,)


def test_nothing_is_kept_where_the_masks_agree_and_not_all_where_they_never_do() -> None:
    layers = [f"layer{place}" for place in range(20)]
    assert keep_worst(TABLE, layers, harmful({}, 0.0)).kept == ()
    hopeless = keep_worst(TABLE, layers, harmful(dict.fromkeys(layers, 1.0), -1.0))
    assert len(hopeless.kept) == len(set(hopeless.kept)) == 8


def test_the_method_with_the_smallest_error_wins() -> None:
    tables = [RangeTable("ab", method, (), {}) for method in ("a", "b", "c")]
    errors = {"a": 0.2, "b": 0.1, "c": 0.3}
    assert best_table(tables, lambda t: Closeness(errors[t.method], 1, 0)).method == "b"


def test_closeness_of_masks() -> None:
    reference = np.array([0.9, 0.9, 0.1, 0.1], np.float32)
    same = Closeness.of(reference, reference, 0.5)
    assert (same.error, same.dice, same.shift, same.enough) == (0.0, 1.0, 0.0, True)
    more = Closeness.of(np.array([0.9, 0.9, 0.6, 0.1], np.float32), reference, 0.5)
    assert more.shift == pytest.approx(0.5)
    assert more.dice == pytest.approx(0.8)
    assert more.error == pytest.approx(0.25)
    assert not more.enough
    nothing = np.zeros(4, np.float32)
    assert Closeness.of(nothing, nothing, 0.5).enough
