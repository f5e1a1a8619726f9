"""Acknowledged means kept: the daemon is killed again and again, wherever it hurts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.box import Answers
from tests.faults.killing import AT_ONCE, KILLS_A_SEED, survive, undisturbed_run

KILLS = 200
_SEEDS = range(KILLS // KILLS_A_SEED)


@pytest.fixture(scope="module")
def undisturbed(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Answers:
    return undisturbed_run(tmp_path_factory.mktemp("undisturbed"), repository)


@pytest.mark.parametrize("first", _SEEDS[::AT_ONCE])
def test_scans_survive_every_kill(
    repository: Path, tmp_path: Path, undisturbed: Answers, first: int
) -> None:
    def kill(seed: int) -> int:
        return survive(tmp_path / str(seed), repository, undisturbed, seed).kills

    seeds = _SEEDS[first : first + AT_ONCE]
    with ThreadPoolExecutor(len(seeds)) as threads:
        assert sum(threads.map(kill, seeds)) == KILLS_A_SEED * len(seeds)
