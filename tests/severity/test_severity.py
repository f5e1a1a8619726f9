from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest

from appliance.quantify.severity import SeverityModel
from calibration.severity import (
    SeverityTable,
    SeverityTableError,
    fit_severity,
    read_table,
    severity_toml,
)


def made_table(rows: int = 120, seed: int = 2) -> SeverityTable:
    random = np.random.default_rng(seed)
    poi, ihu = random.beta(1, 5, rows), random.normal(-500, 90, rows)
    chances = 1 / (1 + np.exp(-(-1.5 + 9 * poi + 0.001 * ihu)))
    return SeverityTable(poi, ihu, random.random(rows) < chances)


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_table_is_read_whatever_stands_beside(tmp_path: Path) -> None:
    path = write(
        tmp_path / "t.csv",
        "Patient, Severe,IHU , poi",
        "a,1,-400.5,0.25",
        "b,0,,0",
        "",
        "c, no,-650,0.01",
    )
    table = read_table(path)
    assert table.poi.tolist() == [0.25, 0.01]
    assert table.ihu.tolist() == [-400.5, -650]
    assert table.severe.tolist() == [True, False]
    assert (table.n, table.left_out) == (2, 1)


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (("poi,severe", "0.1,1"), "there is no column ihu"),
        (("poi;ihu;severe", "0,1;-400;1"), "by commas, not by semicolons"),
        ((), "there is no column poi and no ihu and no severe"),
        (("poi,ihu,severe", "0.1,-400,0", "12.5,-400,1"), "line 3: poi is 12.5, but it is a frac"),
        (("poi,ihu,severe", "-0.1,-400,1"), "line 2: poi is -0.1"),
        (("poi,ihu,severe", ",-400,1"), "line 2: poi is '', no number"),
        (("poi,ihu,severe", "0.1,-4oo,1"), "line 2: ihu is '-4oo', no number"),
        (("poi,ihu,severe", "0.1,nan,1"), "ihu is 'nan', no finite number"),
        (("poi,ihu,severe", "0.1,-400,2"), "line 2: severe is '2', not 0 or 1"),
        (("poi,ihu,severe", "0.1"), "severe is '', not 0 or 1"),
    ],
)
def test_what_cannot_be_used_is_named(
    tmp_path: Path, lines: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(SeverityTableError, match=sentence):
        read_table(write(tmp_path / "t.csv", *lines))


def test_what_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"\xff\xfe\x00poi")
    with pytest.raises(SeverityTableError, match="no table in CSV"):
        read_table(tmp_path / "t.csv")


def test_the_file_gives_the_probability_that_was_fitted() -> None:
    table = made_table()
    fit = fit_severity(table, "poi", "ihu")
    fields = tomllib.loads(severity_toml(fit, 'today of "a\\b"\n.csv'))
    model = SeverityModel.of(fields)
    assert model.n == 120
    assert model.made == 'today of "a\\b".csv'
    columns = np.column_stack((table.poi, table.ihu))
    for (poi, ihu), expected in zip(columns, fit.model.probabilities(columns), strict=True):
        assert model.probability(poi, ihu) == pytest.approx(expected)
    assert fields["auc"] == fit.found.auc
    cut = fields["cut"]
    called = fit.model.probabilities(columns) > cut
    assert fit.found.cut is not None
    assert np.mean(called[table.severe]) == pytest.approx(fit.found.cut.sensitivity.share)


def test_one_score_alone() -> None:
    table = made_table()
    assert fit_severity(table, "poi").found.auc > fit_severity(table, "ihu").found.auc


def test_too_small_tables_are_refused() -> None:
    table = made_table()
    ill, well = np.flatnonzero(table.severe), np.flatnonzero(~table.severe)
    chosen = np.concatenate((ill[:19], well[:30]))
    small = SeverityTable(table.poi[chosen], table.ihu[chosen], table.severe[chosen])
    with pytest.raises(SeverityTableError, match=r"19 severe scans and 30 others .* 20 of each"):
        fit_severity(small, "poi", "ihu")
    assert fit_severity(small, "poi").model.n == 49


def test_tables_without_a_best_coefficient_are_refused() -> None:
    severe = np.arange(60) >= 30
    poi, ihu = np.linspace(0, 0.5, 60), np.tile([-400.0, -500.0], 30)
    with pytest.raises(SeverityTableError, match="poi and ihu part severe scans from others"):
        fit_severity(SeverityTable(poi, ihu, severe), "poi", "ihu")
    with pytest.raises(SeverityTableError, match="ihu is the same"):
        fit_severity(SeverityTable(poi, np.full(60, -400.0), severe), "poi", "ihu")
    with pytest.raises(SeverityTableError, match="follows from the other"):
        fit_severity(SeverityTable(poi, 100 * poi - 600, severe), "poi", "ihu")
