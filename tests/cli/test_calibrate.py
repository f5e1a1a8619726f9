"""``breathhold calibrate``: tiny models on made chests, from fp32 to a gated INT8 artefact."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from appliance.inference.devices import Device, Loaded
from appliance.inference.loader import EngineLoader
from appliance.inference.pool import DevicePool
from appliance.inference.queue import InferenceQueue
from appliance.live.models import ServedModels
from appliance.serve.model_service import ModelService
from breathhold.v1 import model_pb2
from engines.models import ModelError, load_repository, load_spec
from engines.runtimes import choose
from engines.segmenter import Segmenter
from tests.cli.command import Command
from tests.evaluation.made_cases import made_chest, write_case
from tests.tiny_models import (
    write_block_repository,
    write_segments_repository,
    write_tiny_repository,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for name in ("first", "second"):
        write_case(folder / name, made_chest(name))
    return folder


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return write_tiny_repository(tmp_path / "models")


def calibrated(command: Command, data: Path, repository: Path, *more: object) -> dict[str, Any]:
    ran = command("calibrate", "lung", "--data", data, "--models", repository, "--json", *more)
    assert ran.out, ran.err
    record: dict[str, Any] = json.loads(ran.out)
    assert ran.code == (0 if record["passed"] else 1), ran.err
    assert record["passed"] or "lung did not pass the gate in the dialect of" in ran.err
    return record


def test_a_model_is_calibrated_gated_and_served(
    command: Command, data: Path, repository: Path
) -> None:
    record = calibrated(command, data, repository, "--cases", "first")
    spec = load_spec(repository / "lung")
    assert [one.dialect for one in spec.artefacts] == ["", "openvino", "tensorrt"]
    for found, artefact in zip(record["artefacts"], spec.artefacts[1:], strict=True):
        artefact.verify()
        assert artefact.calibration is not None
        assert artefact.gate is not None
        assert artefact.calibration.cases == ("first",)
        assert artefact.gate.cases == ("second",)
        assert artefact.gate.passed == (found["verdict"] == "passed") == (not found["reasons"])
        assert [case["case"] for case in found["cases"]] == ["second"]
    assert ("speed_up" in record["artefacts"][0]["figures"]) is True
    assert ("speed_up" in record["artefacts"][1]["figures"]) is False
    card = (repository / "lung" / "MODEL_CARD.md").read_text()
    assert card.count("| second |") == 2
    assert (repository / "lung" / "1" / "ranges.json").is_file()
    tensorrt = spec.artefact("int8", ["tensorrt"])
    assert tensorrt.gate is not None
    assert tensorrt.gate.passed, record["artefacts"][1]["reasons"]
    served_and_shown(repository)
    gated_again(command, data, repository)


def served_and_shown(repository: Path) -> None:
    segmenter = Segmenter(
        load_repository(repository), choose("onnxruntime"), {"lung": "int8", "lesion": "fp32"}
    )
    pool = DevicePool([Device("cpu", lambda _: Loaded(segmenter))], None, InferenceQueue())
    pool.load()
    models = ServedModels(repository, repository / "none", {}, pool.shelf, EngineLoader())
    services = SimpleNamespace(devices=pool, models=models)
    request = model_pb2.ListModelsRequest()
    answer = asyncio.run(ModelService(services).ListModels(request, None))
    shown = {model.reference.name: model for model in answer.models}
    assert shown["lung"].reference.precision == "int8"
    assert shown["lung"].dialect == "tensorrt"
    assert shown["lung"].calibration.endswith("on first")
    assert shown["lung"].gate["po_moved_mean"] <= 0.1
    assert list(shown["lung"].gate_cases) == ["second"]
    assert not shown["lesion"].gate


def gated_again(command: Command, data: Path, repository: Path) -> None:
    """The gate alone leaves files and calibration as they are."""
    before = load_spec(repository / "lung")
    calibrated(command, data, repository, "--gate-only", "--gate-on", "second")
    after = load_spec(repository / "lung")
    for old, new in zip(before.artefacts[1:], after.artefacts[1:], strict=True):
        assert (old.sha256, old.calibration) == (new.sha256, new.calibration)
        assert new.gate is not None
    ran = command(
        "calibrate", "lung", "--data", data, "--models", repository, "--gate-only",
        "--gate-on", "first",
    )  # fmt: skip
    assert ran.code == 1
    assert "calibrated on: first" in ran.err
    spec = repository / "lung" / "spec.toml"
    whole = spec.read_text()
    spec.write_text(re.sub(r"\[artefact\.calibration\]\n.*\n.*\n.*\n", "", whole))
    ran = command("calibrate", "lung", "--data", data, "--models", repository, "--gate-only")
    assert ran.code == 1
    assert "does not say on which scans it was calibrated" in ran.err
    spec.write_text(whole)
    path = repository / "lung" / "1" / "model.int8.tensorrt.onnx"
    path.write_bytes(path.read_bytes() + b"\x12\x00")
    with pytest.raises(ModelError, match="not the file that passed"):
        Segmenter(load_repository(repository), choose("onnxruntime"), {"lung": "int8"})


def test_models_are_judged_alone_and_together(
    command: Command, data: Path, repository: Path
) -> None:
    lung = calibrated(command, data, repository, "--cases", "first", "--method", "minmax")
    assert [one["together"] for one in lung["artefacts"]] == [[], []]
    options = ("--data", data, "--models", repository, "--method", "minmax")
    ran = command("calibrate", "lesion", *options, "--cases", "first", "--json")
    openvino, tensorrt = json.loads(ran.out)["artefacts"]
    assert tensorrt["together"] == ["lung"]
    assert openvino["together"] == ["lung"] * (lung["artefacts"][0]["verdict"] == "passed")
    gate = load_spec(repository / "lesion").artefact("int8", ["tensorrt"]).gate
    assert gate is not None
    assert gate.together == ("lung",)
    assert {"dice_lesion_fall", "together_dice_lesion_fall"} <= set(gate.figures)
    (case,) = tensorrt["cases"]
    assert case["together"]["dice_lung"] is not None
    assert case["int8"]["dice_lung"] == case["fp32"]["dice_lung"]
    assert "PO (%) together" in (repository / "lesion" / "MODEL_CARD.md").read_text()
    ran = command("calibrate", "lesion", *options, "--cases", "second", "--gate-on", "first")
    assert ran.code == 1
    assert "calibrated on: first" in ran.err
    ran = command("calibrate", "lesion", *options, "--gate-only")
    assert "fp32 / int8 / together" in ran.out


def test_out_leaves_the_repository_alone(
    command: Command, data: Path, repository: Path, tmp_path: Path
) -> None:
    before = {path: path.read_bytes() for path in repository.rglob("*") if path.is_file()}
    out = tmp_path / "out"
    calibrated(command, data, repository, "--cases", "first", "--out", out, "--method", "minmax")
    assert before == {path: path.read_bytes() for path in repository.rglob("*") if path.is_file()}
    how = load_spec(out / "lung").artefacts[1].calibration
    assert how is not None
    assert how.method == "min-max"


def test_a_block_model_is_calibrated(command: Command, tmp_path: Path) -> None:
    repository = write_block_repository(tmp_path / "models")
    for name in ("first", "second"):
        case = replace(made_chest(name, slices=50), spacing_mm=(1.5, 5.6, 5.6))
        write_case(tmp_path / "data" / name, case)
    ran = command(
        "calibrate", "lesion_thin", "--data", tmp_path / "data", "--models", repository, "--json"
    )
    (record,) = ran.lines
    assert [one["calibration"]["cases"] for one in record["artefacts"]] == [["first"]] * 2
    assert not record["artefacts"][1]["reasons"]
    spec = load_spec(repository / "lesion_thin")
    served = {"lung": "fp32", "lesion_thin": "int8", "lesion_thick": "fp32"}
    Segmenter(load_repository(repository), choose("onnxruntime"), served)
    assert [one.dialect for one in spec.artefacts] == ["", "openvino", "tensorrt"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["liver"], "no model is called 'liver'"),
        (["lung", "--cases", "first", "--gate-on", "first"], "calibrated on: first"),
        (["lung", "--cases", "third"], "no case third"),
        (["lung", "--gate-only"], "no int8 artefact to judge"),
    ],
)
def test_what_cannot_be_done_is_said(
    arguments: list[str], message: str, command: Command, data: Path, repository: Path
) -> None:
    ran = command("calibrate", *arguments, "--data", data, "--models", repository)
    assert ran.code == 1
    assert message in ran.err


@pytest.mark.parametrize("model", ["lobes", "segments"])
def test_what_divides_the_lungs_is_not_judged(
    command: Command, data: Path, tmp_path: Path, model: str
) -> None:
    models = write_segments_repository(tmp_path / "models")
    ran = command("calibrate", model, "--data", data, "--models", models)
    assert ran.code == 1
    assert f"{model} divides the lungs" in ran.err
    assert not list((models / model / "1").glob("model.int8.*"))


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_missing_package_is_named(package: str, data: Path) -> None:
    program = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from appliance.cli.main import main\n"
        f"sys.exit(main(['calibrate', 'lung', '--data', {str(data)!r}]))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.returncode == 1
    assert f"the package {package} is not installed" in ran.stderr
    assert "breathhold[calibrate]" in ran.stderr
