from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.quantify.histogram import BINS
from appliance.quantify.normal import average_reference
from appliance.quantify.norms import Norms
from appliance.quantify.scores import NoScore
from appliance.quantify.severity import SeverityModel
from appliance.scan.events import (
    Accepted,
    Completed,
    CompletedBy,
    Duplicate,
    Finished,
    Inferred,
    Refused,
    SlabReady,
)
from appliance.scan.scan import Scan, ScanPhase, ScanPolicy
from appliance.scan.slabs import Slab
from appliance.scan.slice import SliceHeader
from appliance.scan.stack import Section
from appliance.scan.summary import Summary, summarize
from appliance.scan.verdicts import NoticeReason, RefusalReason
from tests.scan.strategies import SERIES, Inference, header, parts_of, policy, tally_of

NORMS = Norms(
    average_reference("made up", "nothing", [range(BINS)]), SeverityModel(-3.0, 8.0, 0.001, 9, "")
)


def run_scan(
    headers: list[SliceHeader],
    *,
    rules: ScanPolicy | None = None,
    answer: random.Random | None = None,
) -> tuple[Summary, dict[str, tuple[int, int]], Inference]:
    """A whole scan; `answer` mixes inference answers between the slices."""
    scan = Scan(SERIES, rules or policy())
    inference = Inference(scan)
    for item in headers:
        inference.handle(scan.offer(item))
        while answer and inference.waiting and answer.random() < 0.5:
            inference.answer(answer.randrange(len(inference.waiting)))
    inference.handle(scan.complete(CompletedBy.END))
    while inference.waiting:
        inference.answer(answer.randrange(len(inference.waiting)) if answer else 0)
    masks = {uid: (scan.tally(uid).lung_px, scan.tally(uid).lesion_px) for uid in scan.stack.ids}
    return summarize(scan, NORMS, parts_of(scan)), masks, inference


def series(count: int, spacing: float, start: float = -500.0) -> list[SliceHeader]:
    return [header(round(start + index * spacing, 3), thickness=spacing) for index in range(count)]


@st.composite
def stacks(draw: st.DrawFn) -> list[SliceHeader]:
    """Slices with an even spacing, some missing, some a little off."""
    spacing = draw(st.sampled_from([0.6, 1.0, 1.25, 2.5, 5.0, 8.0]))
    count = draw(st.integers(12, 45))
    dropped = draw(st.sets(st.integers(0, count - 1), max_size=6))
    jitter = draw(st.lists(st.sampled_from([0.0, 0.1, -0.1]), min_size=count, max_size=count))
    return [
        header(round(index * spacing + jitter[index] * spacing, 3), thickness=spacing)
        for index in range(count)
        if index not in dropped
    ]


@settings(max_examples=150, deadline=None)
@given(stacks(), st.integers(0, 2**32), st.data())
def test_order_duplicates_and_timing_do_not_matter(
    headers: list[SliceHeader], seed: int, data: st.DataObject
) -> None:
    rules = policy(min_extent_mm=0.0, min_slices=1)
    mixer = random.Random(seed)
    shuffled = headers + mixer.sample(headers, k=min(5, len(headers)))
    mixer.shuffle(shuffled)
    reference = run_scan(headers, rules=rules)
    other = run_scan(shuffled, rules=rules, answer=mixer)
    assert other[0] == reference[0]
    assert other[1] == reference[1]
    assert reference[0].scores.po is not None
    found = reference[0].findings
    assert found.densities is not None
    assert found.densities.normal is not None
    assert found.lobes is not None
    assert found.lobes.scores.lss > 0
    assert [segment.name for segment in found.segments] == ["right_apical", "left_lingular"]
    assert found.severity_probability is not None


@settings(max_examples=60, deadline=None)
@given(stacks(), st.integers(0, 2**32))
def test_every_counted_result_is_that_of_the_final_slab(
    headers: list[SliceHeader], seed: int
) -> None:
    mixer = random.Random(seed)
    mixer.shuffle(headers)
    scan = Scan(SERIES, policy(min_extent_mm=0.0, min_slices=1))
    inference = Inference(scan)
    for item in headers:
        inference.handle(scan.offer(item))
        if inference.waiting and mixer.random() < 0.7:
            inference.answer(-1)
    inference.handle(scan.complete(CompletedBy.END))
    inference.answer_all()
    fresh = Inference(Scan(SERIES, policy(min_extent_mm=0.0, min_slices=1)))
    for item in sorted(headers, key=lambda one: one.geometry.along_mm):
        fresh.handle(fresh.scan.offer(item))
    fresh.handle(fresh.scan.complete(CompletedBy.END))
    final = {event.slab.target: event.slab for event in fresh.events if type(event) is SlabReady}
    for uid in scan.stack.ids:
        assert scan.tally(uid) == tally_of(final[uid])


def test_scores_run_while_slices_arrive_in_order() -> None:
    scan = Scan(SERIES, policy())
    inference = Inference(scan)
    inferred = []
    for item in series(100, 1.0):
        inference.handle(scan.offer(item))
        inference.answer_all()
        inferred.append(scan.slices_inferred)
    assert inferred[20] >= 15
    assert inferred == sorted(inferred)
    assert scan.scores().po is not None
    assert 0.9 < scan.coverage < 1


def test_in_order_nothing_is_inferred_twice() -> None:
    _, _, inference = run_scan(series(90, 1.25))
    ready = [event for event in inference.events if isinstance(event, SlabReady)]
    assert len(ready) == 90


def test_coverage_counts_announced_slices() -> None:
    scan = Scan(SERIES, policy(), expected_slices=40)
    inference = Inference(scan)
    for item in series(20, 5.0):
        inference.handle(scan.offer(item))
    inference.answer_all()
    assert scan.coverage == pytest.approx(18 / 40)


def test_announced_count_completes_the_scan() -> None:
    scan = Scan(SERIES, policy(), expected_slices=30)
    events = [event for item in series(30, 5.0) for event in scan.offer(item)]
    assert [event.by for event in events if isinstance(event, Completed)] == [CompletedBy.COUNT]
    assert scan.phase is ScanPhase.COMPLETING


def test_duplicate_changes_nothing() -> None:
    scan = Scan(SERIES, policy())
    first = header(0.0)
    assert isinstance(scan.offer(first)[0], Accepted)
    assert scan.offer(first) == [Duplicate(first.sop_instance_uid)]
    assert len(scan.stack) == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"series_instance_uid": "1.2.4"}, RefusalReason.OTHER_SERIES),
        ({"frame_of_reference_uid": "1.9"}, RefusalReason.OTHER_FRAME_OF_REFERENCE),
        ({"spacing": (0.8, 0.8)}, RefusalReason.GEOMETRY_CONTRADICTION),
        ({"orientation": (-1.0, 0, 0, 0, -1.0, 0)}, RefusalReason.GEOMETRY_CONTRADICTION),
        ({"position": (-100.0, -180.0, 1.0)}, RefusalReason.GEOMETRY_CONTRADICTION),
        ({"position": (-180.0, -180.0, 0.0)}, RefusalReason.POSITION_TAKEN),
        ({"uid": "1.2.3.1000000000"}, RefusalReason.SOP_INSTANCE_REUSED),
    ],
)
def test_slices_that_do_not_belong_are_refused(
    changes: dict[str, object], reason: RefusalReason
) -> None:
    scan = Scan(SERIES, policy())
    scan.offer(header(0.0))
    (refused,) = scan.offer(header(1.0, **changes))  # type: ignore[arg-type]
    assert isinstance(refused, Refused)
    assert refused.refusal.reason is reason
    assert len(scan.stack) == 1


def tilted(degrees: float, place: float, *, sheared: bool) -> SliceHeader:
    """A slice of a tilted stack: sheared slices lie above each other along the table."""
    angle = math.radians(degrees)
    normal = (0.0, math.sin(angle), math.cos(angle))
    step = (0.0, 0.0, place / math.cos(angle)) if sheared else tuple(place * n for n in normal)
    return header(
        place,
        orientation=(1.0, 0.0, 0.0, 0.0, math.cos(angle), -math.sin(angle)),
        position=(-180.0 + step[0], -180.0 + step[1], step[2]),
    )


@pytest.mark.parametrize(
    ("degrees", "sheared", "refused"),
    [(18.5, True, True), (18.5, False, False), (2.0, True, False), (0.0, True, False)],
)
def test_a_stack_sheared_by_a_tilted_gantry_is_refused(
    degrees: float, sheared: bool, refused: bool
) -> None:
    scan = Scan(SERIES, policy())
    answers = [scan.offer(tilted(degrees, 5.0 * n, sheared=sheared))[0] for n in range(10)]
    reasons = {one.refusal.reason for one in answers if isinstance(one, Refused)}
    assert reasons == ({RefusalReason.GANTRY_TILT} if refused else set())


def test_too_many_slices_are_refused() -> None:
    scan = Scan(SERIES, policy(max_slices=3))
    events = [scan.offer(item)[0] for item in series(4, 1.0)]
    assert isinstance(events[3], Refused)
    assert events[3].refusal.reason is RefusalReason.TOO_MANY_SLICES


def test_a_slice_after_the_end_is_refused_and_changes_nothing() -> None:
    scan = Scan(SERIES, policy())
    inference = Inference(scan)
    for item in series(30, 5.0):
        inference.handle(scan.offer(item))
    inference.handle(scan.complete(CompletedBy.QUIET))
    (late,) = scan.offer(header(999.0))
    assert isinstance(late, Refused)
    assert late.refusal.reason is RefusalReason.SCAN_FINISHED
    inference.answer_all()
    assert isinstance(inference.events[-1], Finished)
    assert summarize(scan).slices == 30


def test_a_short_scan_has_no_score_and_says_why() -> None:
    summary, _, _ = run_scan(series(9, 5.0))
    assert summary.scores.po is None
    assert summary.scores.no_score is NoScore.TOO_SHORT


def test_an_empty_scan_has_no_score() -> None:
    scan = Scan(SERIES, policy())
    events = scan.complete(CompletedBy.ABANDONED)
    assert isinstance(events[-1], Finished)
    assert summarize(scan).scores.no_score is NoScore.NO_SLICES


def test_a_gap_is_named_and_not_interpolated_over() -> None:
    whole, _, _ = run_scan(series(40, 5.0))
    holed, _, _ = run_scan(series(20, 5.0) + series(15, 5.0, start=-375.0))
    (gap,) = holed.missing
    assert (gap.from_mm, gap.to_mm, gap.count) == (-405.0, -375.0, 5)
    assert NoticeReason.GAP in {notice.reason for notice in holed.notices}
    assert holed.scores.volumes.lung_ml < whole.scores.volumes.lung_ml


def test_provisional_section_is_replaced_by_the_final_one() -> None:
    """Every tenth slice first: looks thick, is thin; the thin model must have the last word."""
    thin = series(120, 1.0)
    sparse_first = thin[::10] + [item for index, item in enumerate(thin) if index % 10]
    summary, masks, inference = run_scan(sparse_first, answer=random.Random(1))
    ready = [event.slab for event in inference.events if isinstance(event, SlabReady)]
    assert any(slab.model == "lesion_thick" for slab in ready)
    assert summary.section is Section.THIN
    assert masks == run_scan(thin)[1]


def test_a_revised_mask_has_a_higher_revision() -> None:
    scan = Scan(SERIES, policy())
    inference = Inference(scan)
    for item in series(60, 5.0)[::2]:
        inference.handle(scan.offer(item))
    inference.answer_all()
    for item in series(60, 5.0)[1::2]:
        inference.handle(scan.offer(item))
    inference.answer_all()
    revisions = [event.revision for event in inference.events if isinstance(event, Inferred)]
    assert max(revisions) == 2


def test_a_late_answer_to_an_outdated_slab_is_ignored() -> None:
    scan = Scan(SERIES, policy())
    inference = Inference(scan)
    for item in series(60, 5.0)[::2]:
        inference.handle(scan.offer(item))
    outdated = list(inference.waiting)
    for item in series(60, 5.0)[1::2]:
        inference.handle(scan.offer(item))
    changed = [slab for slab in outdated if slab not in inference.waiting[len(outdated) :]]
    newest = {slab.target: slab for slab in inference.waiting}
    stale = next(slab for slab in changed if newest[slab.target] != slab)
    assert scan.record(stale, tally_of(stale)) == []


def test_slab_asked_for_again_after_a_detour_does_not_stall() -> None:
    """Its first result counts again, and the scan still finishes."""
    scan = Scan(SERIES, policy())
    inference = Inference(scan)
    for item in series(24, 5.0):
        inference.handle(scan.offer(item))
    inference.answer_all()
    target = scan.stack.ids[10]
    first = next(
        event.slab
        for event in inference.events
        if isinstance(event, SlabReady) and event.slab.target == target
    )
    detour = Slab("lesion_thin", target, (target,))
    assert scan._ask(detour) == SlabReady(detour)
    assert scan._ask(first) is None
    inference.handle(scan.complete(CompletedBy.END))
    inference.answer_all()
    assert isinstance(inference.events[-1], Finished)
    assert scan.tally(target) == tally_of(first)


def test_a_caller_s_word_on_the_section_is_checked() -> None:
    scan = Scan(SERIES, policy(), announced_section=Section.THIN)
    inference = Inference(scan)
    for item in series(30, 5.0):
        inference.handle(scan.offer(item))
    inference.handle(scan.complete(CompletedBy.END))
    inference.answer_all()
    reasons = {notice.reason for notice in summarize(scan).notices}
    assert NoticeReason.SECTION_CHANGED in reasons
