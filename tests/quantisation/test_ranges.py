from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.quantisation.ranges import METHODS, Histogram, Range, RangeTable
from engines.models import ModelError

LIMITS = st.floats(-50, 50, width=32)


@st.composite
def histograms(draw: st.DrawFn) -> Histogram:
    low, high = sorted((draw(LIMITS), draw(LIMITS)))
    counts = np.zeros(2048, np.int64)
    places = draw(st.lists(st.integers(0, 2047), min_size=1, max_size=30))
    np.add.at(counts, places, draw(st.integers(1, 1000)))
    return Histogram(low, high, counts)


@given(histograms(), st.sampled_from(METHODS))
def test_a_range_holds_zero_and_lies_in_what_occurred(found: Histogram, method: str) -> None:
    limits, whole = found.range(method), found.range("min-max")
    assert limits.low <= 0 <= limits.high
    assert whole.low - 1e-4 <= limits.low
    assert limits.high <= whole.high + 1e-4


def test_percentiles_cut_rare_values_and_keep_the_others() -> None:
    counts = np.zeros(2048, np.int64)
    counts[:1000], counts[-1] = 1000, 1
    found = Histogram(0.0, 2.048, counts)
    assert found.range("percentile 99.99").high == pytest.approx(1.0, abs=2e-3)
    assert found.range("min-max").high == 2.048


def test_entropy_cuts_a_long_thin_tail() -> None:
    counts = (1e6 * np.exp(-np.arange(2048) / 60)).astype(np.int64)
    counts[-1] = 1
    assert 0.2 < Histogram(0.0, 2.048, counts).range("entropy").high < 2.0


def test_a_constant_tensor_has_a_range() -> None:
    counts = np.zeros(2048, np.int64)
    counts[0] = 10
    for method in METHODS:
        assert Histogram(3.0, 3.0, counts).range(method) == Range(0.0, 3.0)


def test_unknown_methods_and_ranges_without_zero_are_errors() -> None:
    with pytest.raises(ValueError, match="no method 'guess'"):
        Histogram(0.0, 1.0, np.ones(2048, np.int64)).range("guess")
    with pytest.raises(ValueError, match="holds 0"):
        Range(1.0, 2.0)


def test_a_table_is_written_and_read(tmp_path: Path) -> None:
    table = RangeTable("ab", "entropy", ("one",), {"x": Range(-1.5, 2.0)}, ("stem",))
    table.write(tmp_path / "ranges.json")
    assert RangeTable.read(tmp_path / "ranges.json") == table
    assert table.shared(["x", "not measured"]) == Range(-1.5, 2.0)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"tensors": {"x": {"low": 1}}}'])
def test_what_is_no_table_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "ranges.json"
    path.write_text(text)
    with pytest.raises(ModelError, match=r"ranges\.json: no table of ranges"):
        RangeTable.read(path)
