"""Slabs to calibrate on are those that the daemon's path gives to the network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from calibration.evaluation import LabelledCase
from calibration.quantisation.slabs import CalibrationSlabs, record_slabs
from engines.models import ModelError, load_repository
from engines.runtimes import choose
from tests.evaluation.made_cases import made_chest, write_case
from tests.tiny_models import BLOCK_PLANES, SIZE, write_block_repository


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_block_repository(tmp_path_factory.mktemp("repository"))


def thin(slices: int) -> LabelledCase:
    return replace(made_chest(slices=slices), spacing_mm=(1.5, 5.6, 5.6))


def recorded(repository: Path, model: str, *cases: LabelledCase, number: int) -> CalibrationSlabs:
    with TemporaryDirectory() as folder:
        paths = [
            write_case(Path(folder) / f"{place}-{case.name}", case)
            for place, case in enumerate(cases)
        ]
        return record_slabs(load_repository(repository), model, choose(), paths, number)


@pytest.mark.parametrize(
    ("model", "planes", "number"), [("lung", 1, 12), ("lesion_thin", BLOCK_PLANES, 6)]
)
def test_each_model_gets_its_own_form_and_no_slab_is_used_twice(
    repository: Path, model: str, planes: int, number: int
) -> None:
    slabs = recorded(repository, model, thin(40), number=number)
    together = [*slabs.measuring, *slabs.choosing]
    assert len(together) <= number
    assert len(slabs.measuring) >= len(slabs.choosing) >= 1
    for slab in together:
        assert slab.shape == (planes, SIZE, SIZE)
        assert slab.dtype == np.float32
        assert 0 <= slab.min() < slab.max() <= 1
    again = recorded(repository, model, thin(40), number=number)
    for one, other in zip(together, [*again.measuring, *again.choosing], strict=True):
        assert np.array_equal(one, other)


def test_both_slabs_with_and_without_disease_are_taken(repository: Path) -> None:
    healthy = replace(thin(24), hu=np.where(thin(24).hu == -450, -850, thin(24).hu))
    slabs = recorded(repository, "lesion_thin", thin(24), healthy, number=12)
    middle = [slab[BLOCK_PLANES // 2] for slab in [*slabs.measuring, *slabs.choosing]]
    level = (-450 + 1350) / 1600
    diseased = [bool(np.isclose(plane, level, atol=0.02).sum() > 10) for plane in middle]
    assert any(diseased)
    assert not all(diseased)


def test_blocks_are_chosen_among_all_blocks(repository: Path) -> None:
    """A scan of many slices has few blocks: 128 slices of 1.5 mm have about ten."""
    slabs = recorded(repository, "lesion_thin", thin(128), number=12)
    assert len(slabs.measuring) + len(slabs.choosing) >= 9


def test_a_model_that_sees_nothing_is_named(repository: Path) -> None:
    with pytest.raises(ModelError, match="sees only 0 slabs in 0-chest"):
        recorded(repository, "lesion_thin", made_chest("chest"), number=6)
