"""A scan on its way through many short lives of a daemon, each ended by a kill.

It is sent in a drawn order, with duplicates. A life ends at a failpoint, or at any moment. Whatever
was acknowledged must be there in the next one, and report and masks must in the end be those
of an undisturbed run.
"""

from __future__ import annotations

import os
import random
import threading
import time
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
#: Slices sent in a life, how many of them were not acknowledged before, and the pause between, s.
_SENT_IN_A_LIFE, _NEW_IN_A_LIFE, _PAUSE_S = 15, 8, 0.003
#: Where a life ends, and at which time of meeting such a place at the latest.
PLACES = {
    "spool.queue": 12,
    "spool.write": 3,
    "spool.sync": 3,
    "spool.synced": 3,
    "ack": 12,
    "decode": 12,
    "queue.take": 2,
    "engine": 2,
    "engine.answer": 2,
    "results.save": 1,
    "results.commit": 1,
    "results.saved": 1,
}
#: Met once for each slice that was not kept before.
_BY_NEW_SLICES = ("spool.queue", "ack")
#: Met when the caller has ended the scan.
_AT_THE_END = tuple(place for place in PLACES if place.startswith("results"))
_ANY_MOMENT = "any moment"
#: Lives of one scan that end at any moment.
_AT_ANY_MOMENT = 2
#: A place that is not met within this time after the answers, s, is not met.
_MET_WITHIN_S = 0.5


class SliceLostError(AssertionError):
    """A slice was acknowledged and is not there any more."""


class ReportChangedError(AssertionError):
    """Report or masks are not those of an undisturbed run."""


@dataclass(slots=True)
class Tally:
    """What the kills of one seed came to.

    `places` counts where they hit: a life that did not come to its place was killed at any moment.
    """

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
    for places in _ways_to_die(mixer):
        sending = _Sending(state / str(tally.scans), repository, mixer)
        for place in places:
            tally.places[sending.live_once(place)] += 1
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

    def live_once(self, place: str) -> str:
        """Through one life that is to end at a place: where it did."""
        at_the_end = place in _AT_THE_END
        few = self._slices if at_the_end else self._few()
        plan = self._plan(place, few)
        moment = None if plan else self._mixer.uniform(0, 0.3)
        life = Life(self._state, self._repository, plan)
        if not life.ready():
            assert life.kill() == -9, life.log_text()
            return place
        answers, died = _send_until_it_dies(life, few, moment, end=at_the_end)
        self._check(answers, plan)
        return place if died else _ANY_MOMENT

    def _few(self) -> list[pb.Slice]:
        """Some of the slices, in a drawn order: new ones, as long as there are, and any others."""
        new = [item for item in self._slices if item.raw.sop_instance_uid not in self.acknowledged]
        few = new[:_NEW_IN_A_LIFE]
        few += self._mixer.sample(self._slices, _SENT_IN_A_LIFE - len(few))
        self._mixer.shuffle(few)
        return few

    def _plan(self, place: str, few: list[pb.Slice]) -> str:
        if place == _ANY_MOMENT:
            return ""
        most = PLACES[place]
        if place in _BY_NEW_SLICES:
            new = {item.raw.sop_instance_uid for item in few} - self.acknowledged
            most = max(1, min(most, len(new)))
        return f"{place}=kill@{self._mixer.randint(1, most)}"

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


def _ways_to_die(mixer: random.Random) -> list[list[str]]:
    """Where the lives of one seed are to end, scan by scan: each place comes, some twice.

    One of the scans is killed again while what the first kill of its end left is taken up.
    """
    ends = [[place] for place in mixer.sample(_AT_THE_END, len(_AT_THE_END))]
    at = [place for (place,) in ends].index(_AT_THE_END[0])
    ends[at].append(mixer.choice(_AT_THE_END[1:]))
    before = [place for place in PLACES if place not in _AT_THE_END]
    before += [_ANY_MOMENT] * _AT_ANY_MOMENT * len(ends)
    before += mixer.sample(before, KILLS_A_SEED - len(before) - len(ends) - 1)
    mixer.shuffle(before)
    return [[*before[number :: len(ends)], *end] for number, end in enumerate(ends)]


def _send_until_it_dies(
    life: Life, slices: list[pb.Slice], moment: float | None, *, end: bool
) -> tuple[Answers, bool]:
    """All that is answered before the daemon is gone, and whether it went where it was to.

    It is killed when nothing else does it.
    """
    call = Call(life.grpc, OPEN)
    killer = threading.Timer(moment or 0, life.process.kill)
    if moment is not None:
        killer.start()
    for item in slices:  # not all at once: they would be written, and inferred, in one group
        call.send_slices([item])
        time.sleep(_PAUSE_S)
    if end:
        call.end()
        call.result()
    else:
        call.wait_for_answers(len(slices))
    killer.cancel()
    died = moment is None and life.process.ends_within(_MET_WITHIN_S)
    assert life.kill() == -9, life.log_text()
    return call.result(), died


def _runs(answers: Answers) -> dict[str, list[int]]:
    return {uid: list(mask.runs) for uid, mask in answers.masks.items()}
