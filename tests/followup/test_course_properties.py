"""The scan before, against the plainest search there can be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from appliance.followup.course import follow_up, points
from appliance.storage.results import CourseScan
from breathhold.v1 import types_pb2 as pb
from tests.followup.made_reports import made_scan

SCANS = st.lists(
    st.tuples(
        st.integers(0, 5),  # day
        st.none() | st.floats(0, 100),
        st.sampled_from(["", "1.1", "1.2"]),
        st.booleans(),  # abandoned
    ),
    max_size=8,
)


def laid_out(scans: list[tuple[int, float | None, str, bool]]) -> list[CourseScan]:
    return [
        made_scan(
            f"{number + 1:x}",
            float(day),
            po,
            study=study,
            received=float(number),
            state=pb.SCAN_STATE_ABANDONED if abandoned else pb.SCAN_STATE_REPORTED,
        )
        for number, (day, po, study, abandoned) in enumerate(scans)
    ]


@given(scans=SCANS, order=st.randoms(use_true_random=False))
def test_the_scan_before_is_the_last_that_may_be_compared(
    scans: list[tuple[int, float | None, str, bool]], order: object
) -> None:
    course = laid_out(scans)
    shuffled = list(course)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    for number, (day, po, study, abandoned) in enumerate(scans):
        before = [
            (other_day, other)
            for other, (other_day, other_po, other_study, other_abandoned) in enumerate(scans)
            if (other_day, other) < (day, number)
            and other_po is not None
            and not other_abandoned
            and not (study and study == other_study)
        ]
        whole = po is not None and not abandoned
        expected = f"{max(before)[1] + 1:x}" if before and whole else ""
        found = follow_up(course[number], shuffled, "key")
        assert found.previous_scan_id == expected
        assert found.earlier_scans == (len(before) if expected else 0)
        for change in found.changes:
            assert change.change == change.now - change.before
            assert (change.change > 0) >= (change.direction == pb.DIRECTION_INCREASED)
    known = {scan.report.scan_id: follow_up(scan, course, "key") for scan in course}
    assert {point.scan_id: point.follow_up for point in points(shuffled, "key")} == known
