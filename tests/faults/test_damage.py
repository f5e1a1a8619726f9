"""A disk that damages what was kept: what is sound goes on, callers are told, nothing stays."""

from __future__ import annotations

import asyncio
import time
import urllib.request
from pathlib import Path

from appliance.client import ClientError, ScanClient
from appliance.config import StorageConfig
from appliance.live.housekeeping import keep_house
from appliance.live.scans import scan_id_of
from appliance.storage.record import FILE_HEADER_BYTES, RECORD_HEADER_BYTES
from breathhold.v1 import scan_pb2 as pb
from breathhold.v1 import types_pb2
from tests.box import Answers, Call, send_scan
from tests.faults.lives import Life
from tests.live.test_scans import live_scans
from tests.made_scans import raw_slices

SERIES = "1.2.3"
OPEN = pb.OpenScan(series_instance_uid=SERIES, station="CT1")
SCAN_ID = scan_id_of(SERIES)
_SLICES = 12


def slices() -> list[pb.Slice]:
    return raw_slices(_SLICES, 20.0, SERIES)


def damage(state: Path, place: int | None = None) -> None:
    """Flip one bit of the log, in its middle when not said where."""
    log = state / "spool" / SCAN_ID / "scan.log"
    content = bytearray(log.read_bytes())
    content[len(content) // 2 if place is None else place] ^= 1
    log.write_bytes(content)


def damaged(repository: Path, state: Path, place: int | None = None) -> set[str]:
    """The state of a killed daemon, with one bit of the scan's log flipped.

    Returns
    -------
    The slices that were acknowledged.
    """
    with Life(state, repository) as life:
        call = Call(life.grpc, OPEN)
        call.send_slices(slices())
        call.wait_for_answers(_SLICES)
        life.kill()
        call.close()
    damage(state, place)
    return {ack.sop_instance_uid for ack in call.answers.acks}


def reasons(answers: Answers) -> list[str]:
    return [warning.reason for warning in answers.warnings]


def without_loss(answers: Answers) -> types_pb2.Report:
    """The report, which must tell of the loss, without that."""
    report = answers.final_report
    kept = [warning for warning in report.warnings if warning.reason != "SLICES_LOST"]
    assert len(kept) == len(report.warnings) - 1
    del report.warnings[:]
    report.warnings.extend(kept)
    return report


def files(state: Path) -> list[str]:
    return sorted(path.name for path in (state / "spool").iterdir())


def test_what_damage_left_goes_on_and_the_lost_slice_is_asked_for(
    repository: Path, tmp_path: Path
) -> None:
    with Life(tmp_path / "undisturbed", repository) as life:
        undisturbed = send_scan(life.grpc, OPEN, slices())
    state = tmp_path / "state"
    acknowledged = damaged(repository, state)
    assert len(acknowledged) == _SLICES
    with Life(state, repository) as life:
        again = Call(life.grpc, OPEN)
        again.wait_for_answers(0)
        again.send_slices(slices())
        again.end()
        answers = again.result()
        assert answers.opened is not None
        kept = {*answers.opened.kept_sop_instance_uids}
        assert kept < acknowledged
        assert len(kept) == _SLICES - 1
        assert [ack.sop_instance_uid for ack in answers.acks if not ack.duplicate] == list(
            acknowledged - kept
        )
        assert "SLICES_LOST" in reasons(answers)
        assert without_loss(answers) == undisturbed.final_report
        log = life.log_text()
        assert f"the log of scan {SCAN_ID} is damaged" in log
        with urllib.request.urlopen(f"http://{life.http}/metrics", timeout=5) as page:
            assert "breathhold_logs_set_aside_total 1.0" in page.read().decode()
    assert files(state) == [SCAN_ID, f"{SCAN_ID}.corrupt-1"]
    asyncio.run(forgets_all(state))


async def forgets_all(state: Path) -> None:
    """What was damaged is kept no longer than what is sound."""
    results = state / "results.sqlite.damaged-1"
    results.touch()
    config = StorageConfig(state_dir=state, keep_slices_hours=0, keep_results_days=0)
    async with live_scans(state) as scans:
        keeping = asyncio.create_task(keep_house(scans, scans._services, config, 0.05))
        async with asyncio.timeout(20):
            while files(state) or results.exists():
                await asyncio.sleep(0.05)
        keeping.cancel()
    trail = (state / "audit" / "audit.jsonl").read_text()
    assert "damaged slices kept long enough" in trail
    assert "damaged results kept long enough" in trail


def test_a_scan_of_which_nothing_is_left_begins_again_with_a_word(
    repository: Path, tmp_path: Path
) -> None:
    acknowledged = damaged(repository, tmp_path, FILE_HEADER_BYTES + RECORD_HEADER_BYTES)
    with Life(tmp_path, repository) as life:
        answers = send_scan(life.grpc, OPEN, slices())
    assert answers.opened is not None
    assert not answers.opened.kept_sop_instance_uids
    assert {ack.sop_instance_uid for ack in answers.acks} == acknowledged
    assert "SLICES_LOST" in reasons(answers)
    assert answers.final_report.slices == _SLICES


def test_a_damaged_scan_that_nobody_sends_again_is_reported_with_what_is_left(
    repository: Path, tmp_path: Path
) -> None:
    damaged(repository, tmp_path)
    with Life(tmp_path, repository, scan={"abandon_s": 0.1}) as life:
        report = reported(life)
    assert report.completed_by == types_pb2.COMPLETED_BY_ABANDONED
    assert report.slices == _SLICES - 1
    assert "SLICES_LOST" in [warning.reason for warning in report.warnings]


def test_a_report_of_more_slices_than_the_damage_left_stands(
    repository: Path, tmp_path: Path
) -> None:
    """A scan that only fell silent is looked at again at each start."""
    silent = {"abandon_s": 0.1}
    with Life(tmp_path, repository, scan=silent) as life:
        call = Call(life.grpc, OPEN)
        call.send_slices(slices())
        call.wait_for_answers(_SLICES)
        call.close()
        before = reported(life)
    damage(tmp_path)
    with Life(tmp_path, repository, scan=silent) as life:
        time.sleep(1.0)
        assert "is damaged" in life.log_text()
        assert reported(life) == before


def reported(life: Life) -> types_pb2.Report:
    """Wait for the report, with no call open."""
    deadline = time.monotonic() + 20
    with ScanClient(life.grpc) as client:
        while True:
            try:
                return client.report(SERIES)
            except ClientError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.05)
