"""Acknowledged means kept: the daemon is killed again and again, wherever it hurts."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.box import Answers
from tests.faults.killing import AT_ONCE, KILLS_A_SEED, PLACES, Tally, survive, undisturbed_run

KILLS = 200
_SEEDS = range(KILLS // KILLS_A_SEED)


@pytest.fixture(scope="module")
def undisturbed(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Answers:
    return undisturbed_run(tmp_path_factory.mktemp("undisturbed"), repository)


@pytest.fixture(scope="module")
def places() -> Counter[str]:
    """Where the kills of this module hit, as far as they have been done."""
    return Counter()


@pytest.mark.parametrize("first", _SEEDS[::AT_ONCE])
def test_scans_survive_every_kill(
    repository: Path, tmp_path: Path, undisturbed: Answers, places: Counter[str], first: int
) -> None:
    def kill(seed: int) -> Tally:
        return survive(tmp_path / str(seed), repository, undisturbed, seed)

    seeds = _SEEDS[first : first + AT_ONCE]
    with ThreadPoolExecutor(len(seeds)) as threads:
        tallies = [*threads.map(kill, seeds)]
    assert [tally.kills for tally in tallies] == [KILLS_A_SEED] * len(seeds)
    for tally in tallies:
        places.update(tally.places)


def test_each_place_was_hit(places: Counter[str]) -> None:
    if places.total() < KILLS:
        pytest.skip("tells of all the kills above, and not all of them were done")
    assert not PLACES.keys() - places.keys(), places
