from __future__ import annotations

import pytest

from appliance.live import wire
from appliance.scan.stack import Section
from breathhold.v1 import types_pb2 as pb


@pytest.mark.parametrize(
    ("asked", "served"),
    [
        (pb.PRIORITY_UNSPECIFIED, pb.PRIORITY_ROUTINE),
        (pb.PRIORITY_ROUTINE, pb.PRIORITY_ROUTINE),
        (pb.PRIORITY_EMERGENCY, pb.PRIORITY_EMERGENCY),
        (100, pb.PRIORITY_EMERGENCY),
    ],
)
def test_unset_is_routine_and_nothing_goes_beyond_emergency(asked: int, served: int) -> None:
    assert wire.urgency(asked) == served  # type: ignore[arg-type]


def test_announced_sections() -> None:
    assert wire.announced_section(pb.SECTION_UNSPECIFIED) is None
    assert wire.announced_section(pb.SECTION_THIN) is Section.THIN


def test_signals_are_words() -> None:
    assert wire.signal_name(pb.COMPLETED_BY_QUIET) == "quiet"
