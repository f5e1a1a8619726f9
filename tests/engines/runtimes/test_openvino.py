"""The CPU runtime: what one caller does, or fails at, is nothing to another."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import pytest

from engines.models import ModelSpec, load_spec
from engines.runtimes.openvino import OpenVinoExecutable, OpenVinoRuntime
from tests.tiny_models import write_tiny_repository

_CALLERS, _CALLS = 4, 40


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    return load_spec(write_tiny_repository(tmp_path_factory.mktemp("models")) / "lesion")


@pytest.fixture(scope="module")
def executable(spec: ModelSpec) -> OpenVinoExecutable:
    return OpenVinoRuntime().load(spec, spec.artefacts[0])


def slabs(spec: ModelSpec, number: int, seed: int) -> npt.NDArray[np.float32]:
    drawn = np.random.default_rng(seed).random((number, spec.planes, *spec.size), np.float32)
    return drawn * np.linspace(0, 1, spec.size[1], dtype=np.float32)


@pytest.mark.parametrize("number", [0, 1, 2, 3, 17])
def test_each_slab_has_its_own_answer(
    spec: ModelSpec, executable: OpenVinoExecutable, number: int
) -> None:
    asked = slabs(spec, number, seed=1)
    together = executable.run(asked)
    assert together.shape == (number, *spec.size)
    for index in range(number):
        np.testing.assert_array_equal(executable.run(asked[index : index + 1])[0], together[index])


def test_threads_that_call_at_once_have_their_own_answers(
    spec: ModelSpec, executable: OpenVinoExecutable
) -> None:
    asked = [slabs(spec, 2 * len(os.sched_getaffinity(0)) + 1, seed) for seed in range(_CALLERS)]
    alone = [executable.run(one) for one in asked]
    assert not np.array_equal(alone[0], alone[1])

    def call(caller: int) -> int:
        return sum(
            not np.array_equal(executable.run(asked[caller]), alone[caller]) for _ in range(_CALLS)
        )

    with ThreadPoolExecutor(_CALLERS) as threads:
        assert list(threads.map(call, range(_CALLERS))) == [0] * _CALLERS


def test_calls_that_fail_leave_the_next_one_its_answers(
    spec: ModelSpec, executable: OpenVinoExecutable
) -> None:
    asked = slabs(spec, 3, seed=5)
    before = executable.run(asked)
    for _ in range(3):
        with pytest.raises((RuntimeError, ValueError, TypeError)):
            executable.run(np.zeros((2, spec.planes + 1, *spec.size), np.float32))
        with pytest.raises((RuntimeError, ValueError, TypeError)):
            executable.run([asked[0], None])  # type: ignore[arg-type]
    np.testing.assert_array_equal(executable.run(asked), before)
