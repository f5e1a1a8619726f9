from __future__ import annotations

import json
from pathlib import Path

import pytest

from appliance.cli.main import main
from appliance.cli.referencing import building
from appliance.inference.shapes import slab_shapes
from appliance.norms import read_normal
from appliance.quantify.histogram import BIN_HU, FIRST_HU
from appliance.scan.scan import ScanPolicy
from calibration.phantom import write_labelled
from engines.models import load_repository
from engines.runtimes import choose
from engines.segmenter import Segmenter
from tests.made_series import made_phantom, write_series
from tests.tiny_models import write_tiny_repository

LUNG, LESION = ((hu - FIRST_HU) // BIN_HU for hu in (-850, -500))


@pytest.fixture
def tiny_engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    specs = load_repository(write_tiny_repository(tmp_path / "repository"))
    engines = Segmenter(specs, choose("openvino")), ScanPolicy(slab_shapes(specs))
    monkeypatch.setattr(building, "load_engines", lambda: engines)


def test_a_reference_is_made_of_labelled_cases(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (1, 2):
        write_labelled(made_phantom(), tmp_path / "cases" / f"case{number}")
    cases, out = str(tmp_path / "cases"), tmp_path / "normal.json"
    assert main(["reference", "build", cases, "-o", str(out), "--name", "ours"]) == 0
    whole = read_normal(out)
    assert (whole.name, whole.scans) == ("ours", 2)
    assert main(["reference", "show", str(out)]) == 0
    assert "ours: lung of 2 scans" in capsys.readouterr().out
    arguments = ["reference", "build", cases, "-o", str(out), "--without-lesion", "--json"]
    assert main([*arguments, "--cases", "case2"]) == 0
    assert json.loads(capsys.readouterr().out)["scans"] == 1
    free = read_normal(out)
    assert whole.shares[LESION] > 0.01
    assert (free.shares[LESION], free.shares[LUNG]) == (0, 1)


@pytest.mark.usefixtures("tiny_engines")
def test_a_reference_is_made_of_dicom(tmp_path: Path) -> None:
    folder, out = write_series(tmp_path / "scan"), tmp_path / "normal.json"
    assert main(["reference", "build", str(folder), "-o", str(out)]) == 0
    found = read_normal(out).shares
    write_labelled(made_phantom(), tmp_path / "case")
    assert main(["reference", "build", str(tmp_path / "case"), "-o", str(out)]) == 0
    true = read_normal(out).shares
    assert sum(abs(one - other) for one, other in zip(found, true, strict=True)) < 0.2
    assert found[LUNG] > 0.8


@pytest.mark.usefixtures("tiny_engines")
@pytest.mark.parametrize(("dicom", "fault"), [(True, "shows no lungs"), (False, "neither DICOM")])
def test_what_makes_no_reference_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], dicom: bool, fault: str
) -> None:
    folder, out = tmp_path / "scans", tmp_path / "normal.json"
    folder.mkdir()
    if dicom:
        write_series(folder, lung=False)
    assert main(["reference", "build", str(folder), "-o", str(out)]) == 1
    assert fault in capsys.readouterr().err
    assert not out.exists()
