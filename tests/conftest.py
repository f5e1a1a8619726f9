"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

# Before numpy is there: the products here are small, and threads of BLAS would only wait busily.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest

from engines.runtimes import RUNTIMES
from tests.bench_runtime import BenchRuntime, Registering

_SHARED = Path(os.environ.get("BREATHHOLD_SHARED", Path(__file__).resolve().parents[2] / "shared"))


@pytest.fixture(scope="session")
def shared_ct() -> Path:
    """The folder of real CT data; tests that use it skip where it is absent."""
    folder = _SHARED / "ct"
    if not folder.is_dir():
        pytest.skip("the real CT data are not here (set BREATHHOLD_SHARED to their folder)")
    return folder


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Registering:
    """Puts a runtime "bench" among the others, with devices of given kinds."""

    def register(**kinds: str) -> BenchRuntime:
        runtime = BenchRuntime(**kinds)
        monkeypatch.setitem(RUNTIMES, "bench", runtime)
        return runtime

    return register
