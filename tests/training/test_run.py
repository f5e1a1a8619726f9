"""Training, resuming and exporting, on tiny cases."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import openvino
import pytest
import torch

from engines.card import write_gate_part
from engines.models import ModelError, load_spec
from engines.training import __main__ as command
from engines.training import batches, export, loop
from engines.training.cases import load_cases
from engines.training.models import PLANS
from engines.training.state import load_checkpoint, load_recipe, trained_network
from tests.training.made_cases import write_case

#: Narrower 2.5-D networks make PyTorch 2.13 corrupt its memory on some CPUs.
_WIDTHS = {"lung": 8, "lesion_thick": 16, "lesion_thin": 8}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for name in ("a", "b", "phantom-1"):
        write_case(folder / name, spacing=3.0)
    return folder


@pytest.fixture(scope="module")
def runs(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of each model, a few small steps long."""
    folder = tmp_path_factory.mktemp("runs")
    patch = pytest.MonkeyPatch()
    patch.setattr(batches, "_FRAMES", 1)
    patch.setattr(batches, "_CROPS", 2)
    patch.setattr(batches, "_CROP_SIDE", 64)
    patch.setattr(batches, "_BLOCKS", 1)
    patch.setattr(batches, "_FRAME_PLANES", 8)
    patch.setattr(batches, "_BLOCK_SIDE", 32)
    patch.setattr(loop, "_REPORT_STEPS", 2)
    for model, width in _WIDTHS.items():
        command.main(
            f"--model {model} --data {data} --hold-out b --steps 4 --width {width} --device cpu "
            f"--out {folder / model}".split()
        )
    yield folder
    patch.undo()


def test_a_run_keeps_recipe_checkpoint_and_curve(runs: Path) -> None:
    recipe = load_recipe(runs / "lung")
    assert (recipe.model, recipe.held_out, recipe.steps, recipe.width) == ("lung", ["b"], 4, 8)
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


def test_a_run_stops_at_a_step_and_goes_on_from_it(data: Path, runs: Path, tmp_path: Path) -> None:
    asked = f"--model lung --data {data} --hold-out b --steps 4 --width 8 --device cpu"
    for until, step in (("--until 3", 3), ("", 4)):
        command.main(f"{asked} --out {tmp_path / 'run'} {until}".split())
        content = load_checkpoint(tmp_path / "run")
        assert content is not None
        assert content["step"] == step
    parted, whole = trained_network(tmp_path / "run"), trained_network(runs / "lung")
    for mine, theirs in zip(parted.state_dict().values(), whole.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)


def test_a_share_of_phantoms_beyond_one_is_refused(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = f"--model lung --data {data} --phantom-share 1.4 --out {tmp_path / 'run'}"
    with pytest.raises(SystemExit, match="2"):
        command.main(asked.split())
    assert "between 0 and 1, not 1.4" in capsys.readouterr().err


def test_it_does_not_matter_who_draws_the_batches(data: Path) -> None:
    drawn = batches.Batches(_train(data), PLANS["lung"], seed=3)
    here, elsewhere = drawn.following(2, workers=0), drawn.following(2, workers=2)
    for step in (2, 3, 4):
        first, second = next(here), next(elsewhere)
        torch.testing.assert_close(first.planes, second.planes, rtol=0, atol=0)
        torch.testing.assert_close(first.label, drawn[step].label, rtol=0, atol=0)
    assert not torch.equal(drawn[2].planes, drawn[4].planes)


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


def test_a_run_does_not_start_from_one_that_saw_its_patients(
    data: Path, runs: Path, tmp_path: Path
) -> None:
    recipe = dataclasses.replace(
        load_recipe(runs / "lung"), held_out=["a", "b"], start_from=str(runs / "lung")
    )
    with pytest.raises(ValueError, match="was trained on a, held out here"):
        loop.Trainer(_train(data), recipe, tmp_path)


def test_a_fold_holds_out_its_share_of_the_patients(data: Path, runs: Path, tmp_path: Path) -> None:
    command.main(f"--model lung --data {data} --fold 2/2 --steps 1 --out {tmp_path}".split())
    assert load_recipe(tmp_path).held_out == ["b"]
    for wrong in ("3/2", "0/2", "1", "a/b"):
        with pytest.raises(SystemExit):
            command.main(f"--model lung --data {data} --fold {wrong} --out {tmp_path}".split())


@pytest.mark.parametrize(
    ("model", "planes", "answers"),
    [("lung", 1, 1), ("lesion_thick", 3, 1), ("lesion_thin", 16, 16)],
)
def test_the_export_predicts_what_the_network_does(
    runs: Path, tmp_path: Path, model: str, planes: int, answers: int
) -> None:
    (runs / model / "accuracy.json").write_text('{"dice_mean": 0.5}')
    folder = tmp_path / model
    export.main(f"{runs / model} --out {folder} --version 2".split())
    artefact = folder / "2" / "model.onnx"
    batch = torch.rand(2, planes, 256, 256, generator=torch.Generator().manual_seed(1))
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(str(artefact), "CPU", settings)
    with torch.no_grad():
        expected = trained_network(runs / model)(batch).sigmoid().numpy()[:, :answers]
    np.testing.assert_allclose(compiled(batch.numpy())["probability"], expected, atol=1e-4)
    assert not any(n.op_type == "BatchNormalization" for n in onnx.load(artefact).graph.node)

    spec = load_spec(folder)
    assert (spec.name, spec.version, spec.planes) == (model, 2, planes)
    assert spec.sections == PLANS[model].sections
    assert (spec.form == "block") == (answers > 1)
    assert spec.warm_up is not None
    assert 0 <= spec.warm_up.mean <= spec.warm_up.maximum <= 1
    assert spec.accuracy == {"dice_mean": 0.5}
    spec.artefact("fp32").verify()
    config = (folder / "config.pbtxt").read_text()
    assert f"dims: [ {planes}, 256, 256 ]" in config
    assert f"dims: [ {answers}, 256, 256 ]" in config


def test_a_model_may_serve_other_sections_than_planned(runs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "lesion"
    export.main(f"{runs / 'lesion_thick'} --out {folder} --sections thin,medium,thick".split())
    assert load_spec(folder).sections == ("thin", "medium", "thick")
    with pytest.raises(ModelError, match="sections must be some of"):
        export.main(f"{runs / 'lesion_thick'} --out {folder} --sections thick,paper".split())


def test_an_export_leaves_nothing_of_the_int8_of_other_weights(runs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "lung"
    export.main(f"{runs / 'lung'} --out {folder}".split())
    for name in ("ranges.json", "model.int8.openvino.onnx", "model.int8.tensorrt.onnx"):
        (folder / "1" / name).write_text("old")
    write_gate_part(folder, "old figures")
    export.main(f"{runs / 'lung'} --out {folder}".split())
    assert [path.name for path in (folder / "1").iterdir()] == ["model.onnx"]
    assert "old figures" not in (folder / "MODEL_CARD.md").read_text()
