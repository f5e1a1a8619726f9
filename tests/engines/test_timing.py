"""How long a slab takes: the median, in turns, and what a timing depends on."""

from __future__ import annotations

import time
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from engines.models import ModelSpec, load_spec
from engines.timing import TimingKey, TimingStore, time_executables
from tests.tiny_models import BLOCK_PLANES, SIZE, write_block_repository

KEY = TimingKey("lung", (("int8", "ab"), ("fp16", "cd")), "a GPU", (1, 64, 64))
OTHER: dict[str, Any] = {
    "model": "lesion",
    "files": (("int8", "ef"), ("fp16", "cd")),
    "device": "another",
    "slab": (3, 64, 64),
    "recipe": 2,
}


class Sleeper:
    """Takes its time, once in a while much more."""

    def __init__(self, name: str, seconds: float, calls: list[str]) -> None:
        self._name, self._seconds, self._calls = name, seconds, calls
        self.shapes: set[tuple[int, ...]] = set()

    def run(self, slabs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        self._calls.append(self._name)
        self.shapes.add(slabs.shape)
        time.sleep(self._seconds * (10 if len(self._calls) % 20 == 0 else 1))
        return slabs


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_block_repository(tmp_path_factory.mktemp("repository"))


def spec_of(repository: Path, name: str) -> ModelSpec:
    return load_spec(repository / name)


@pytest.mark.parametrize(
    ("model", "shape"),
    [("lung", (8, 1, SIZE, SIZE)), ("lesion_thin", (1, BLOCK_PLANES, SIZE, SIZE))],
)
def test_the_median_of_calls_that_take_turns(
    model: str, shape: tuple[int, ...], repository: Path
) -> None:
    calls: list[str] = []
    fast, slow = Sleeper("fast", 0.002, calls), Sleeper("slow", 0.02, calls)
    seconds = time_executables({"fast": fast, "slow": slow}, spec_of(repository, model))
    assert fast.shapes == slow.shapes == {shape}
    assert 0.002 <= seconds["fast"] * shape[0] < 0.02 <= seconds["slow"] * shape[0] < 0.2
    timed = calls[-10:]
    assert timed == ["fast", "slow"] * 5


@pytest.mark.parametrize("field", [field.name for field in fields(TimingKey)])
def test_another_key_has_another_timing(field: str, tmp_path: Path) -> None:
    store = TimingStore(tmp_path)
    store.keep(KEY, {"int8": 1e-3, "fp16": 2e-3})
    other = replace(KEY, **{field: OTHER[field]})
    assert store.find(other) is None
    store.keep(other, {"int8": 4e-3, "fp16": 3e-3})
    assert store.find(KEY) == {"int8": 1e-3, "fp16": 2e-3}
    assert TimingStore(tmp_path).find(other) == {"int8": 4e-3, "fp16": 3e-3}


def test_only_the_owner_may_write_it(tmp_path: Path) -> None:
    store = TimingStore(tmp_path / "engines")
    store.keep(KEY, {"int8": 1e-3, "fp16": 2e-3})
    assert store.path(KEY).stat().st_mode & 0o777 == 0o644
    assert [path.name for path in store.folder.iterdir()] == [store.path(KEY).name]
