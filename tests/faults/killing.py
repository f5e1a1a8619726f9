"""A scan on its way through many short lives of a daemon, each ended by a kill.

It is sent in a drawn order, with duplicates. A life ends at a failpoint, or at any moment. Whatever
was acknowledged must be there in the next one, and report and masks must in the end be those
of an undisturbed run.
"""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from breathhold.v1 import scan_pb2 as pb
from tests.box import Answers, Call, send_scan
from tests.faults.lives import Life
from tests.made_scans import raw_slices

OPEN = pb.OpenScan(series_instance_uid="1.2.3", station="CT1", send_masks=True)
#: As many scans are killed side by side as there are cores.
AT_ONCE = len(os.sched_getaffinity(0))
#: Kills drawn from one seed.
KILLS_A_SEED = 20
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
_ANY_MOMENT = "any moment"


class SliceLostError(AssertionError):
    """A slice was acknowledged and is not there any more."""


class ReportChangedError(AssertionError):
    """Report or masks are not those of an undisturbed run."""


@dataclass(slots=True)
class Tally:
    """What the kills of one seed came to; `places` counts where they hit."""

    scans: int = 0
    acknowledged: int = 0
    places: Counter[str] = field(default_factory=Counter)

    @property
    def kills(self) -> int:
        return self.places.total()


def undisturbed_run(state: Path, repository: Path) -> Answers:
    with Life(state, repository) as life:
        return send_scan(life.grpc, OPEN, raw_slices(_SLICES))


def survive(state: Path, repository: Path, undisturbed: Answers, seed: int) -> Tally:
    """Kill the daemon as often and wherever the seed says, scan after scan.

    Raises
    ------
    SliceLostError, ReportChangedError
        When a promise is broken.
    """
    mixer, tally = random.Random(seed), Tally()
    while tally.kills < KILLS_A_SEED:
        sending = _Sending(state / str(tally.scans), repository, mixer)
        goes_on = True
        while goes_on and tally.kills < KILLS_A_SEED:
            place, goes_on = sending.live_once()
            tally.places[place] += 1
        sending.finish(undisturbed)
        tally.scans += 1
        tally.acknowledged += len(sending.acknowledged)
    return tally


class _Sending:
    """One scan."""

    def __init__(self, state: Path, repository: Path, mixer: random.Random) -> None:
        self._state, self._repository, self._mixer = state, repository, mixer
        self._slices = raw_slices(_SLICES)
        self._slices += mixer.sample(self._slices, 5)
        mixer.shuffle(self._slices)
        self.acknowledged: set[str] = set()

    def live_once(self) -> tuple[str, bool]:
        """Through one life: where it was to end, and whether that was before the report."""
        plan, moment = _a_way_to_die(self._mixer)
        place = plan.partition("=")[0] or _ANY_MOMENT
        life = Life(self._state, self._repository, plan)
        if not life.ready():
            assert life.kill() == -9, life.log_text()
            return place, True
        end = plan.startswith("results")
        begin = 0 if end else self._mixer.randrange(len(self._slices) - 1)
        few = self._slices[begin:] if end else self._slices[begin : begin + 15]
        answers = _send_until_it_dies(life, few, moment, end=end)
        self._check(answers, plan)
        return place, answers.report is None

    def finish(self, undisturbed: Answers) -> None:
        """Undisturbed, to the report."""
        with Life(self._state, self._repository) as life:
            answers = send_scan(life.grpc, OPEN, self._slices)
        self._check(answers)
        if answers.final_report != undisturbed.final_report:
            raise ReportChangedError(f"{answers.final_report} != {undisturbed.final_report}")
        if _runs(answers) != _runs(undisturbed):
            raise ReportChangedError("the masks are not those of an undisturbed run")

    def _check(self, answers: Answers, plan: str = "") -> None:
        if answers.opened:
            lost = self.acknowledged - {*answers.opened.kept_sop_instance_uids}
            if lost:
                raise SliceLostError(f"acknowledged and not kept: {lost}, after {plan}")
        self.acknowledged |= {ack.sop_instance_uid for ack in answers.acks}


def _a_way_to_die(mixer: random.Random) -> tuple[str, float | None]:
    """A plan of failpoints, or the moment at which to kill, s after the first slice."""
    if mixer.random() < 0.25:
        return "", mixer.uniform(0, 0.3)
    place = mixer.choice(list(_PLACES))
    return f"{place}=kill@{mixer.randint(1, _PLACES[place])}", None


def _send_until_it_dies(
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


def _runs(answers: Answers) -> dict[str, list[int]]:
    return {uid: list(mask.runs) for uid, mask in answers.masks.items()}
