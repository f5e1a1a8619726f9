"""What the tests of this folder need: a GPU, where they say so."""

from __future__ import annotations

import pytest

from engines.runtimes.tensorrt.driver import Gpu, gpus


@pytest.fixture(scope="session")
def gpu() -> Gpu:
    """The first GPU; tests that ask for it skip where there is none."""
    there = gpus()
    if not there:
        pytest.skip("there is no NVIDIA GPU here")
    return there[0]
