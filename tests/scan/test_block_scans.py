"""Scans of which the thin sections go to a block model, while their slices arrive."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.scan.events import SlabReady
from appliance.scan.scan import Scan, ScanPolicy
from appliance.scan.slabs import Form, Slab, SlabShape
from appliance.scan.slice import SliceHeader
from appliance.scan.stack import Section
from tests.scan.strategies import SERIES, Inference, mixed_policy
from tests.scan.test_scan import run_scan, series, stacks

#: Of the block model of `mixed_policy`, mm.
BLOCK_MM, PLANE_MM = 24.0, 3.0
ANY_SIZE: dict[str, object] = {"min_extent_mm": 0.0, "min_slices": 1}


def only_blocks(planes: int, overlap: int) -> ScanPolicy:
    shape = SlabShape("lesion", planes, 3.0, Form.BLOCK, overlap)
    return ScanPolicy(dict.fromkeys(Section, shape), **ANY_SIZE)  # type: ignore[arg-type]


def ready_slabs(inference: Inference) -> list[Slab]:
    return [event.slab for event in inference.events if isinstance(event, SlabReady)]


@settings(max_examples=80, deadline=None)
@given(
    stacks(),
    st.integers(0, 2**32),
    st.sampled_from([mixed_policy(**ANY_SIZE), only_blocks(8, 2), only_blocks(4, 0)]),
)
def test_order_duplicates_and_timing_do_not_matter(
    headers: list[SliceHeader], seed: int, rules: ScanPolicy
) -> None:
    mixer = random.Random(seed)
    shuffled = headers + mixer.sample(headers, k=min(5, len(headers)))
    mixer.shuffle(shuffled)
    reference = run_scan(headers, rules=rules)
    other = run_scan(shuffled, rules=rules, answer=mixer)
    assert other[:2] == reference[:2]
    assert reference[0].scores.po is not None


def locally_disordered(headers: list[SliceHeader]) -> list[SliceHeader]:
    """As when several slices are decoded at once."""
    mixer = random.Random(5)
    keys = [index + mixer.uniform(0, 3) for index in range(len(headers))]
    return [header for _, header in sorted(zip(keys, headers, strict=True), key=lambda one: one[0])]


@pytest.mark.parametrize(
    "arranged",
    [list, lambda headers: headers[::-1], locally_disordered],
    ids=["ascending", "descending", "locally disordered"],
)
@pytest.mark.parametrize("spacing", [0.625, 1.0, 1.5])
def test_blocks_are_asked_for_while_the_slices_stream(
    arranged: type[list[SliceHeader]], spacing: float
) -> None:
    """All but the last block before the end, each slice once."""
    headers = series(round(200 / spacing), spacing)
    scan = Scan(SERIES, mixed_policy())
    inference = Inference(scan)
    for item in arranged(headers):
        inference.handle(scan.offer(item))
        inference.answer_all()
    left = (len(headers) - scan.slices_inferred) * spacing
    assert left <= BLOCK_MM + PLANE_MM
    assert len(ready_slabs(inference)) == scan.slices_inferred


def test_the_first_scores_come_with_the_first_block() -> None:
    scan = Scan(SERIES, mixed_policy())
    inference = Inference(scan)
    for item in series(200, 1.0, start=-500.0):
        inference.handle(scan.offer(item))
        if inference.waiting:
            break
    assert scan.stack.extent_mm <= BLOCK_MM + 1.5


def test_slices_of_one_block_are_asked_for_together() -> None:
    """Between two slices of a block there is none that has to do with neither it nor the next."""
    _, _, inference = run_scan(series(300, 1.0), rules=mixed_policy())
    shares = [slab.shares for slab in ready_slabs(inference)]
    blocks = list(dict.fromkeys(share.block for entry in shares for share in entry))
    assert len(blocks) == 17
    newest = 0
    for entry in shares:
        numbers = [blocks.index(share.block) for share in entry]
        newest = max(newest, *numbers)
        assert min(numbers) >= newest - 1


def test_a_missing_slice_is_waited_for() -> None:
    whole = series(120, 1.0)
    missing = whole[50]
    scan = Scan(SERIES, mixed_policy())
    inference = Inference(scan)
    for item in whole:
        if item is not missing:
            inference.handle(scan.offer(item))
    seen = {uid for slab in ready_slabs(inference) for uid in (slab.target,)}
    assert whole[49].sop_instance_uid not in seen
    inference.handle(scan.offer(missing))
    seen = {slab.target for slab in ready_slabs(inference)}
    assert {whole[49].sop_instance_uid, missing.sop_instance_uid} <= seen


def test_a_provisional_form_is_replaced_by_the_final_one() -> None:
    """Every tenth slice first: neighbours are asked for, the blocks have the last word."""
    thin = series(120, 1.0)
    sparse_first = thin[::10] + [item for index, item in enumerate(thin) if index % 10]
    summary, masks, inference = run_scan(
        sparse_first, rules=mixed_policy(), answer=random.Random(1)
    )
    slabs = ready_slabs(inference)
    assert any(slab.model == "lesion_thick" and not slab.shares for slab in slabs)
    assert summary.section is Section.THIN
    assert all(slab.shares for slab in {slab.target: slab for slab in slabs}.values())
    assert masks == run_scan(thin, rules=mixed_policy())[1]


def test_a_form_that_was_too_thin_is_replaced_as_well() -> None:
    """Two slices near each other first: looks thin, is thick."""
    thick = series(40, 5.0)
    odd = series(3, 1.0, start=-499.0)
    summary, masks, _ = run_scan(thick[:20] + odd + thick[20:], rules=mixed_policy())
    assert summary.section is Section.THICK
    assert masks == run_scan(odd + thick[::-1], rules=mixed_policy(), answer=random.Random(2))[1]
