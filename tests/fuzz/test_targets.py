"""Every target for a moment, with inputs that Hypothesis draws (`make fuzz` takes longer)."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.fuzz.__main__ import shares
from tests.fuzz.edits import TOKENS, damaged
from tests.fuzz.seeds import slices
from tests.fuzz.targets import TARGETS, run_dicom

_short = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
_SEEDS = {name: tuple(target.seeds()) for name, target in TARGETS.items() if name != "edits"}
_changes = st.lists(
    st.tuples(
        st.integers(0, 2**16),
        st.booleans(),
        st.one_of(st.sampled_from(TOKENS), st.binary(min_size=1, max_size=8)),
    ),
    max_size=5,
)


@pytest.mark.parametrize("name", _SEEDS)
def test_sound_inputs_are_read(name: str) -> None:
    assert any(TARGETS[name].run(seed) for seed in _SEEDS[name])


@pytest.mark.parametrize("name", _SEEDS)
@_short
@given(data=st.data())
def test_changed_inputs(name: str, data: st.DataObject) -> None:
    changed = bytearray(data.draw(st.sampled_from(_SEEDS[name])))
    for place, longer, piece in data.draw(_changes):
        at = place % (len(changed) + 1)
        changed[at : at if longer else at + len(piece)] = piece
    TARGETS[name].run(bytes(changed))


@pytest.mark.parametrize("name", _SEEDS)
@_short
@given(data=st.binary(max_size=200))
def test_any_bytes(name: str, data: bytes) -> None:
    TARGETS[name].run(data)


@_short
@given(orders=st.binary(min_size=2, max_size=50))
def test_damaged_files(orders: bytes) -> None:
    run_dicom(damaged(tuple(slices().values()), orders))


def test_each_target_has_its_share_of_the_time() -> None:
    names = list(TARGETS)
    share = shares(1200, names, 2)
    assert sum(share.values()) <= 2 * 1200
    assert min(share.values()) > 60
    assert share["dicom"] == 3 * share["raw"]
