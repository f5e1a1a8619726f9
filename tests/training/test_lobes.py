"""Training of a lobes model: samples, loss, a run that goes on, a model that serves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from engines.divider import load_dividers
from engines.models import load_repository
from engines.runtimes import choose
from engines.training.lobes.augment import draw
from engines.training.lobes.export import export
from engines.training.lobes.fissures import (
    PART,
    FissureTrainer,
    draw_part,
    fissure_voxels,
    trained_fissures,
)
from engines.training.lobes.loop import LobesRecipe, LobesTrainer, lobes_loss, trained_lobes
from engines.training.lobes.scans import SHAPE, find_scans, load_scan

COARSE = (32, 32, 32)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real scan and a phantom, as ``calibration.lobes`` writes them."""
    folder = tmp_path_factory.mktemp("scans")
    z, y, x = np.meshgrid(
        np.linspace(-1, 1, 30),
        np.linspace(-1.3, 1.3, 48),
        np.linspace(-1.3, 1.3, 48),
        indexing="ij",
    )
    labels = np.zeros(z.shape, np.uint8)
    for side, lobes in ((-0.5, (1, 2, 3)), (0.5, (4, 4, 5))):
        lung = (z / 0.9) ** 2 + y**2 + ((x - side) / 0.42) ** 2 < 1
        for low, high, lobe in zip((0.2, -0.2, -1), (1, 0.2, -0.2), lobes, strict=True):
            labels[lung & (z >= low) & (z < high)] = lobe
    lung = labels > 0
    planes = np.where(lung, 80, 220).astype(np.uint8)
    for name in ("real1", "phantom1"):
        np.savez_compressed(
            folder / f"{name}.npz",
            planes=planes,
            lung=lung,
            labels=labels,
            positions_mm=np.arange(30) * 8.0,
            pixel_mm=np.array([5.0, 6.0]),
        )
    return folder


def test_scans_are_told_from_phantoms_and_held_out_by_name(data: Path) -> None:
    real, phantoms = find_scans([data], [])
    assert ([path.stem for path in real], [path.stem for path in phantoms]) == (
        ["real1"],
        ["phantom1"],
    )
    assert find_scans([data], ["real1"])[0] == []
    with pytest.raises(ValueError, match="not there: other"):
        find_scans([data], ["other"])
    with pytest.raises(ValueError, match="no scan"):
        find_scans([data], ["real1", "phantom1"])


def test_every_sample_is_lung_with_lobes_in_the_order_they_lie(data: Path) -> None:
    scan = load_scan(data / "real1.npz")
    for seed in range(12):
        sample = draw(scan, np.random.default_rng(seed), COARSE)
        assert sample.values.shape == sample.labels.shape == (1, *COARSE)
        assert float(sample.values.min()) >= 0
        assert float(sample.values.max()) <= 1
        lung = sample.values > 0
        assert (sample.labels[lung] > 0).float().mean() > 0.97
        assert lung.float().mean() > 0.15
        heights = {
            lobe: float((sample.labels[0] == lobe).nonzero()[:, 0].float().mean())
            for lobe in sample.labels[lung].unique().tolist()
            if lobe
        }
        assert heights.get(3, -1) < heights.get(1, 99)


def test_the_same_chance_draws_the_same_sample(data: Path) -> None:
    scan = load_scan(data / "real1.npz")
    first, again = (draw(scan, np.random.default_rng(7), COARSE) for _ in range(2))
    assert torch.equal(first.values, again.values)
    assert torch.equal(first.labels, again.labels)


def test_the_loss_falls_with_every_right_voxel_and_looks_at_lung_alone() -> None:
    labels = torch.tensor([0, 1, 2, 3, 4, 5, 5, 1]).reshape(1, 2, 2, 2)
    right = 8.0 * torch.nn.functional.one_hot((labels - 1).clamp(min=0), 5).movedim(-1, 1).float()
    wrong = right.clone()
    wrong[0, :, 1, 1, 1] = right[0, :, 1, 1, 0]
    outside = right.clone()
    outside[0, :, 0, 0, 0] = torch.tensor([0, 0, 0, 9.0, 0])
    assert lobes_loss(right, labels) < lobes_loss(wrong, labels)
    assert lobes_loss(right, labels) == lobes_loss(outside, labels)


def test_a_run_goes_on_where_it_was_saved_and_serves(data: Path, tmp_path: Path) -> None:
    recipe = LobesRecipe(data=[str(data)], steps=2, width=4, shape=COARSE)
    LobesTrainer(recipe, tmp_path / "run").train()
    longer = LobesRecipe(data=[str(data)], steps=3, width=4, shape=COARSE)
    resumed = LobesTrainer(longer, tmp_path / "run")
    assert resumed._step == 2
    resumed.train()
    other = LobesRecipe(data=[str(data)], width=4, shape=COARSE, start_from=str(tmp_path / "run"))
    taken = LobesTrainer(other, tmp_path / "other")._average.network.state_dict()
    for name, weight in trained_lobes(tmp_path / "run").state_dict().items():
        assert torch.equal(weight, taken[name])
    (tmp_path / "run" / "accuracy.json").write_text(json.dumps({"dice_mean": 0.5}))
    export(tmp_path / "run", tmp_path / "repository" / "lobes")
    (divider,) = load_dividers(load_repository(tmp_path / "repository"), choose("openvino"))
    assert divider.engine.spec.accuracy == {"dice_mean": 0.5}


def test_fissures_are_where_lobes_of_one_lung_meet() -> None:
    lobes = torch.tensor([[[1, 1, 2, 0, 4, 5], [3, 3, 2, 4, 4, 4]]], dtype=torch.uint8)
    found = [[[1, 1, 1, 0, 1, 1], [1, 1, 1, 0, 0, 1]]]
    assert fissure_voxels(lobes).int().tolist() == found


def test_real_scans_tell_only_where_no_fissure_is(data: Path) -> None:
    rng = np.random.default_rng(5)
    real, phantom = (load_scan(data / f"{name}.npz", SHAPE) for name in ("real1", "phantom1"))
    for _ in range(4):
        part = draw_part(real, rng)
        assert part.values.shape == part.known.shape == PART
        assert not part.fissure.any()
    drawn = [draw_part(phantom, rng) for _ in range(4)]
    assert any(bool(part.fissure.any()) for part in drawn)
    assert all(bool(part.known[part.fissure].all()) for part in drawn)


def test_fissures_are_learnt_on_and_served_with_the_lobes(data: Path, tmp_path: Path) -> None:
    LobesTrainer(
        LobesRecipe(data=[str(data)], steps=1, width=4, shape=COARSE), tmp_path / "run"
    ).train()
    real, phantoms = find_scans([data], [])
    FissureTrainer(real, phantoms, tmp_path / "fissures", steps=1).train()
    resumed = FissureTrainer(real, phantoms, tmp_path / "fissures", steps=2)
    assert resumed._step == 1
    resumed.train()
    model = tmp_path / "repository" / "lobes"
    export(tmp_path / "run", model, fissures=tmp_path / "fissures")
    (divider,) = load_dividers(load_repository(model.parent), choose("openvino"))
    region = load_scan(data / "real1.npz", SHAPE).values.astype(np.float32)
    (answer,) = divider.engine.executable.run(region[None])
    with torch.no_grad():
        shown = trained_fissures(tmp_path / "fissures")(torch.from_numpy(region)[None]).sigmoid()
    np.testing.assert_allclose(1 - answer.reshape(5, *SHAPE).sum(axis=0), shown[0], atol=2e-3)


def test_a_run_without_a_checkpoint_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text(json.dumps({"data": []}))
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        trained_lobes(tmp_path)
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        trained_fissures(tmp_path)
