"""Acknowledged means kept: the daemon is killed again and again, wherever it hurts.

Each scan is sent in a drawn order, with duplicates, through many short lives of the daemon. A life
ends at a failpoint, or at any moment. Whatever was acknowledged must be there in the next one, and
report and masks must in the end be those of an undisturbed run.
"""

from __future__ import annotations

import os
import random
import threading
from pathlib import Path

import pytest

from breathhold.v1 import scan_pb2 as pb
from tests.box import Answers, Call, send_scan
from tests.faults.lives import Life
from tests.made_scans import raw_slices

OPEN = pb.OpenScan(series_instance_uid="1.2.3", station="CT1", send_masks=True)
#: A soak sets it to thousands.
KILLS = int(os.environ.get("BREATHHOLD_KILLS", "200"))
_KILLS_A_TEST = 20
_SLICES = 48
#: Where a life ends, and how often such a place is met in one at most.
_PLACES = {
    "spool.queue": 12,
    "spool.write": 6,
    "spool.sync": 6,
    "spool.synced": 6,
    "ack": 12,
    "decode": 12,
    "queue.take": 6,
    "engine": 6,
    "engine.answer": 6,
    "results.save": 1,
    "results.commit": 1,
    "results.saved": 1,
}


@pytest.fixture(scope="module")
def undisturbed(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Answers:
    with Life(tmp_path_factory.mktemp("undisturbed"), repository) as life:
        return send_scan(life.grpc, OPEN, raw_slices(_SLICES))


def runs(answers: Answers) -> dict[str, list[int]]:
    return {uid: list(mask.runs) for uid, mask in answers.masks.items()}


def a_way_to_die(mixer: random.Random) -> tuple[str, float | None]:
    """A plan of failpoints, or the moment at which to kill, s after the first slice."""
    if mixer.random() < 0.25:
        return "", mixer.uniform(0, 0.3)
    place = mixer.choice(list(_PLACES))
    return f"{place}=kill@{mixer.randint(1, _PLACES[place])}", None


def send_until_it_dies(
    life: Life, slices: list[pb.Slice], moment: float | None, *, end: bool
) -> Answers:
    """All that is answered before the daemon is gone; it is killed when nothing else does it."""
    call = Call(life.grpc, OPEN)
    killer = threading.Timer(moment or 0, life.process.kill)
    if moment is not None:
        killer.start()
    call.send_slices(slices)
    if end:
        call.end()
        call.result()
    else:
        call.wait_for_answers(len(slices))
    killer.cancel()
    assert life.kill() == -9, life.log_text()
    return call.result()


class Sending:
    """One scan on its way through the lives of a daemon."""

    def __init__(self, state: Path, repository: Path, mixer: random.Random) -> None:
        self._state, self._repository, self._mixer = state, repository, mixer
        self._slices = raw_slices(_SLICES)
        self._slices += mixer.sample(self._slices, 5)
        mixer.shuffle(self._slices)
        self._acknowledged: set[str] = set()

    def live_once(self) -> bool:
        """Through one life; False when its report came before its end."""
        plan, moment = a_way_to_die(self._mixer)
        life = Life(self._state, self._repository, plan)
        if not life.ready():
            assert life.kill() == -9, life.log_text()
            return True
        end = plan.startswith("results")
        begin = 0 if end else self._mixer.randrange(len(self._slices) - 1)
        few = self._slices[begin:] if end else self._slices[begin : begin + 15]
        answers = send_until_it_dies(life, few, moment, end=end)
        self._check(answers, plan)
        return answers.report is None

    def _check(self, answers: Answers, plan: str = "") -> None:
        if answers.opened:
            kept = {*answers.opened.kept_sop_instance_uids}
            assert self._acknowledged <= kept, f"acknowledged and not kept: {plan}"
        self._acknowledged |= {ack.sop_instance_uid for ack in answers.acks}

    def finish(self) -> Answers:
        """Undisturbed, to the report."""
        with Life(self._state, self._repository) as life:
            answers = send_scan(life.grpc, OPEN, self._slices)
        self._check(answers)
        return answers


@pytest.mark.parametrize("seed", range(max(1, KILLS // _KILLS_A_TEST)))
def test_scans_survive_every_kill(
    repository: Path, tmp_path: Path, undisturbed: Answers, seed: int
) -> None:
    mixer = random.Random(seed)
    killed = scans = 0
    while killed < _KILLS_A_TEST:
        sending = Sending(tmp_path / str(scans), repository, mixer)
        goes_on = True
        while goes_on and killed < _KILLS_A_TEST:
            goes_on = sending.live_once()
            killed += 1
        final = sending.finish()
        assert final.final_report == undisturbed.final_report
        assert runs(final) == runs(undisturbed)
        scans += 1
