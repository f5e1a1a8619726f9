"""``breathhold fit-severity``: a made table, and what no table is."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np

from tests.cli.command import Command


def write_table(path: Path, rows: int = 150) -> Path:
    random = np.random.default_rng(4)
    poi, ihu = random.beta(1, 5, rows), random.normal(-500, 90, rows)
    severe = random.random(rows) < 1 / (1 + np.exp(-(-1.0 + 10 * poi + 0.002 * ihu)))
    lines = [f"{a:.4f},{b:.1f},{int(c)}" for a, b, c in zip(poi, ihu, severe, strict=True)]
    path.write_text("\n".join(["poi,ihu,severe", *lines, "0,,0"]) + "\n")
    return path


def test_a_table_becomes_a_file(command: Command, tmp_path: Path) -> None:
    table, out = write_table(tmp_path / "site.csv"), tmp_path / "new" / "severity.toml"
    ran = command("fit-severity", table, "-o", out, "--json")
    assert ran.code == 0, ran.err
    (found,) = ran.event("severity")
    assert (found["n"], found["left_out"], found["file"]) == (150, 1, str(out))
    assert [fit["scores"] for fit in found["fits"]] == [["poi"], ["ihu"], ["poi", "ihu"]]
    both = found["fits"][2]
    fields = tomllib.loads(out.read_text())
    assert fields["poi"] == both["coefficients"]["poi"]
    assert fields["made"].endswith(f"of site.csv: 150 scans, {found['severe']} severe")
    assert 0.5 < both["auc_interval"][0] < both["auc"] == fields["auc"]


def test_for_people(command: Command, tmp_path: Path) -> None:
    table = write_table(tmp_path / "site.csv")
    ran = command("fit-severity", table, "--out", tmp_path / "severity.toml")
    assert ran.code == 0, ran.err
    assert "POI + iHU" in ran.out
    assert "Left out, without a lesion and so without iHU: 1." in ran.out
    assert "not a diagnosis" in ran.out


def test_what_cannot_be_fitted_leaves_no_file(command: Command, tmp_path: Path) -> None:
    table, out = write_table(tmp_path / "site.csv", rows=20), tmp_path / "severity.toml"
    ran = command("fit-severity", table, "-o", out)
    assert (ran.code, ran.out) == (1, "")
    assert "20 of each are the least" in ran.err
    assert not out.exists()
    assert command("fit-severity", tmp_path / "none.csv", "-o", out).code == 1
    assert command("fit-severity", table).code == 2
