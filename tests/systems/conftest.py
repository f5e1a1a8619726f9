"""Training runs whose networks call everything what they look for, and systems made of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from calibration.systems.__main__ import main

torch = pytest.importorskip("torch")

from engines.training.state import Recipe, save_checkpoint, save_recipe  # noqa: E402

#: Models and widths: what COLI-Net and COVID-Lesion Net need.
WIDTHS = {"lung": 8, "colinet_lung": 4, "colinet": 4, "covidlesionnet": 4}


def write_run(folder: Path, model: str, held_out: list[str], bias: float = 8.0) -> None:
    """A run as training leaves it, of a network that calls all it sees lung, or lesion."""
    torch.manual_seed(1)
    recipe = Recipe(model, held_out, width=WIDTHS[model])
    network = recipe.plan.build()
    torch.nn.init.zeros_(network.head.weight)
    torch.nn.init.constant_(network.head.bias, bias)
    save_recipe(folder, recipe)
    content = {"average": network.state_dict(), "step": 7, "spent_s": 90.0}
    save_checkpoint(folder, content)


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for model in WIDTHS:
        write_run(folder / model, model, ["b"])
    return folder


@pytest.fixture(scope="session")
def systems(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("systems")
    main(f"make --runs {runs} --out {folder} --system colinet --system covidlesionnet".split())
    return folder
