"""Which scans that failed are taken up again by themselves."""

from __future__ import annotations

import pytest

from appliance.ingest.errors import ReadersUnavailableError
from appliance.live.errors import ScanError, inference_failed, not_kept, readers_unavailable
from appliance.live.retries import MOST_FAILURES, Retries
from appliance.storage.errors import SpoolClosedError

_UNAVAILABLE = ReadersUnavailableError("there is no memory to read a slice")


@pytest.mark.parametrize(
    ("error", "given_up"),
    [
        (inference_failed(RuntimeError()), True),
        (inference_failed(_UNAVAILABLE), False),
        (readers_unavailable(_UNAVAILABLE), False),
        (not_kept(SpoolClosedError("the spool is closed")), False),
    ],
)
def test_only_what_is_the_scans_own_fault_counts_towards_giving_it_up(
    error: ScanError, given_up: bool
) -> None:
    retries = Retries(first_pause_s=0.0)
    for _ in range(3 * MOST_FAILURES):
        retries.failed("scan", error)
    assert retries.may("scan") is not given_up
    assert retries.due() == ([] if given_up else ["scan"])
