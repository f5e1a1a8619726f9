from __future__ import annotations

import json
from pathlib import Path

import pytest

from appliance.config import NORMAL, ConfigError, ScoresConfig
from appliance.norms import load_norms, read_normal, read_severity, write_normal
from appliance.quantify.histogram import BINS, mean_hu
from appliance.quantify.normal import average_reference
from appliance.quantify.severity import SeverityModel

SEVERITY = SeverityModel(-4.5, 21.0, 0.001, 87, "2026-11-21 of 87 patients")


def test_the_shipped_reference_says_that_it_is_not_of_healthy_people() -> None:
    reference = read_normal(NORMAL)
    assert "COVID-19" in reference.name
    assert "no healthy person" in reference.made_of
    assert reference.scans == 11
    assert -870 < mean_hu(reference.shares) < -750


def test_a_reference_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = average_reference("site", "two scans", [range(BINS), [1.0] * BINS])
    write_normal(tmp_path / "normal.json", written)
    read = read_normal(tmp_path / "normal.json")
    assert (read.name, read.made_of, read.scans) == ("site", "two scans", 2)
    assert read.shares == pytest.approx(written.shares, rel=1e-5)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"intercept": -4.5, "poi": 21, "ihu": 0.001, "n": 87, "made": SEVERITY.made}),
        f'intercept = -4.5\npoi = 21\nihu = 0.001\nn = 87\nmade = "{SEVERITY.made}"\n',
    ],
    ids=["json", "toml"],
)
def test_coefficients_are_json_or_toml(tmp_path: Path, text: str) -> None:
    path = tmp_path / "severity"
    path.write_text(text)
    assert read_severity(path) == SEVERITY
    assert load_norms(ScoresConfig(severity=path)).severity == SEVERITY


def test_without_a_fit_there_is_no_severity() -> None:
    norms = load_norms(ScoresConfig())
    assert norms.severity is None
    assert norms.normal == read_normal(NORMAL)
    assert load_norms(ScoresConfig(normal=None)).normal is None


@pytest.mark.parametrize(
    "text", ["", "{", "poi = 1", '{"intercept": 1, "poi": 2, "ihu": 3, "n": 0, "made": ""}']
)
def test_coefficients_that_cannot_be_used_are_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "severity.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"severity\.toml: \S"):
        read_severity(path)


@pytest.mark.parametrize(
    ("field", "value"), [("bin_hu", 8), ("shares", [1.0]), ("shares", "all"), ("scans", None)]
)
def test_a_reference_that_cannot_be_used_is_named(
    tmp_path: Path, field: str, value: object
) -> None:
    fields = json.loads(NORMAL.read_text())
    path = tmp_path / "normal.json"
    path.write_text(json.dumps({**fields, field: value}))
    with pytest.raises(ConfigError, match=r"normal\.json: "):
        read_normal(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere: No such file"):
        load_norms(ScoresConfig(normal=tmp_path / "nowhere"))
