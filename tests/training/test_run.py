"""Training, resuming, evaluating and exporting, on tiny cases."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tomllib
from pathlib import Path

import numpy as np
import onnx
import openvino
import pytest
import torch

from engines.training import __main__ as command
from engines.training import evaluate, export, loop
from engines.training.cases import load_cases
from engines.training.state import load_checkpoint, load_recipe, trained_network
from tests.training.made_cases import write_case


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for name in ("a", "b", "phantom-1"):
        write_case(folder / name, spacing=3.0)
    return folder


@pytest.fixture(scope="module")
def runs(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lung and a lesion run of a few small steps."""
    folder = tmp_path_factory.mktemp("runs")
    patch = pytest.MonkeyPatch()
    patch.setattr(loop, "_FRAMES", 1)
    patch.setattr(loop, "_CROPS", 2)
    patch.setattr(loop, "_CROP_SIDE", 64)
    patch.setattr(loop, "_REPORT_STEPS", 2)
    for role in ("lung", "lesion"):
        command.main(
            f"--model {role} --data {data} --hold-out b --steps 4 --width 8 --device cpu "
            f"--out {folder / role}".split()
        )
    yield folder
    patch.undo()


def test_a_run_keeps_recipe_checkpoint_and_curve(runs: Path) -> None:
    recipe = load_recipe(runs / "lung")
    assert (recipe.role, recipe.held_out, recipe.steps, recipe.width) == ("lung", ["b"], 4, 8)
    content = load_checkpoint(runs / "lung")
    assert content is not None
    assert content["step"] == 4
    rows = (runs / "lung" / "loss.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["step", "2", "4"]
    assert (runs / "lung" / "loss.png").stat().st_size > 1000


def test_training_in_two_parts_gives_the_same_weights(
    data: Path, runs: Path, tmp_path: Path
) -> None:
    trainer = loop.Trainer(_train(data), load_recipe(runs / "lung"), tmp_path)
    for _ in range(2):
        trainer._learn()
    trainer._save()
    again = loop.Trainer(_train(data), load_recipe(runs / "lung"), tmp_path).train()
    whole = trained_network(runs / "lung")
    for mine, theirs in zip(again.state_dict().values(), whole.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)


def _train(data: Path) -> list[loop.Case]:
    return [case for case in load_cases([data]) if case.name != "b"]


def test_another_recipe_does_not_overwrite_a_run(data: Path, runs: Path) -> None:
    arguments = f"--model lung --data {data} --steps 9 --out {runs / 'lung'}".split()
    with pytest.raises(ValueError, match="another recipe"):
        command.main(arguments)


def test_a_run_can_start_from_another(data: Path, runs: Path, tmp_path: Path) -> None:
    recipe = dataclasses.replace(
        load_recipe(runs / "lung"), seed=9, start_from=str(runs / "lung"), steps=1
    )
    trainer = loop.Trainer(_train(data), recipe, tmp_path)
    first = trained_network(runs / "lung")
    for mine, theirs in zip(trainer._network.parameters(), first.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)


def test_evaluation_names_every_held_out_case(data: Path, runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    evaluate.main(
        f"--lung {runs / 'lung'} --lesion {runs / 'lesion'} --data {data} --cases b "
        f"--out {out}".split()
    )
    content = json.loads(out.read_text())
    (case,) = content["cases"]
    assert case["case"] == "b"
    assert case["po_reference"] == pytest.approx(6.9, abs=0.3)
    assert set(content["overall"]) >= {"dice_lung_mean"}


def test_dice_counts_only_what_is_labelled() -> None:
    label = np.array([[1, 1, 0, 0, 255]], np.uint8)
    found = np.array([[True, False, True, False, True]])
    assert evaluate.dice(found, label) == pytest.approx(0.5)
    assert evaluate.dice(np.zeros((1, 5), bool), np.full((1, 5), 255, np.uint8)) is None


@pytest.mark.parametrize(("role", "planes"), [("lung", 1), ("lesion", 3)])
def test_the_export_predicts_what_the_network_does(
    runs: Path, tmp_path: Path, role: str, planes: int
) -> None:
    (runs / role / "accuracy.json").write_text('{"dice_mean": 0.5}')
    model = tmp_path / role
    export.main(f"{runs / role} --out {model} --version 2".split())
    artefact = model / "2" / "model.onnx"
    batch = torch.rand(2, planes, 256, 256, generator=torch.Generator().manual_seed(1))
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(str(artefact), "CPU", settings)
    with torch.no_grad():
        expected = trained_network(runs / role)(batch).sigmoid().numpy()
    np.testing.assert_allclose(compiled(batch.numpy())["probability"], expected, atol=1e-4)
    assert not any(n.op_type == "BatchNormalization" for n in onnx.load(artefact).graph.node)

    spec = tomllib.loads((model / "spec.toml").read_text())
    assert spec["role"] == role
    assert spec["input"]["planes"] == planes
    assert 0 <= spec["warm_up"]["mean"] <= spec["warm_up"]["maximum"] <= 1
    assert spec["accuracy"] == {"dice_mean": 0.5}
    digest = hashlib.sha256(artefact.read_bytes()).hexdigest()
    assert spec["artefact"] == [{"precision": "fp32", "file": "2/model.onnx", "sha256": digest}]
    assert f"dims: [ {planes}, 256, 256 ]" in (model / "config.pbtxt").read_text()
