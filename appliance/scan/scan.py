"""One scan as a state machine: slices and inference results in, events out.

No clock, no threads, no pixels. What comes out at the end depends on the set
of accepted slices alone:

* the final slabs are cut from the whole stack, so a slab that was inferred
  early on other neighbours is inferred again;
* a result is kept together with the slab it came from, so it counts only when
  it is the result of the final slab;
* sums run foot to head.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from appliance.quantify.scores import NoScore, Scores, Volumes, score, volumes
from appliance.quantify.tally import SliceTally
from appliance.scan.admission import refusal_of
from appliance.scan.cutting import final_slabs, settled_slabs
from appliance.scan.events import (
    Accepted,
    Completed,
    CompletedBy,
    Duplicate,
    Event,
    Finished,
    Inferred,
    Noticed,
    Refused,
    SlabReady,
)
from appliance.scan.slabs import Slab, SlabShape
from appliance.scan.slice import SliceHeader
from appliance.scan.stack import Section, Stack, section_of
from appliance.scan.verdicts import Refusal, RefusalReason

_TOO_LATE = Refusal(
    RefusalReason.SCAN_FINISHED, "The scan was declared complete before this slice came."
)


class ScanPhase(enum.Enum):
    """The life of a scan."""

    RECEIVING = "receiving"
    COMPLETING = "completing"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class ScanPolicy:
    """How a scan is cut, and what it takes to be one.

    Parameters
    ----------
    shapes
        The lesion model's slab for each section.
    max_slices
        Slices beyond this are refused.
    min_slices, min_extent_mm
        A scan with fewer slices, or shorter, is no chest CT and gets no score.
    """

    shapes: Mapping[Section, SlabShape]
    max_slices: int = 3000
    min_slices: int = 10
    min_extent_mm: float = 100.0


@dataclass(slots=True)
class _Place:
    """One accepted slice, the slab last asked for, and the result that counts."""

    header: SliceHeader
    asked: Slab | None = None
    inferred: Slab | None = None
    tally: SliceTally = field(default_factory=SliceTally)
    revision: int = 0


class Scan:
    """A scan while its slices arrive, in any order.

    Parameters
    ----------
    series_instance_uid
        Slices of another series are refused.
    policy
        Slab shapes and limits.
    expected_slices
        How many slices were announced; with that many the scan is complete.
    announced_section
        What the caller says its slices are; the geometry has the last word.
    """

    def __init__(
        self,
        series_instance_uid: str,
        policy: ScanPolicy,
        expected_slices: int | None = None,
        announced_section: Section | None = None,
    ) -> None:
        self.series_instance_uid = series_instance_uid
        self.policy = policy
        self.expected_slices = expected_slices
        self._announced_section = announced_section
        self.phase = ScanPhase.RECEIVING
        self.completed_by: CompletedBy | None = None
        self._stack = Stack()
        self._places: dict[str, _Place] = {}
        self._headers: dict[str, SliceHeader] = {}
        self._smallest_step: float | None = None
        self._growing = 0
        self._waiting: set[str] = set()

    # -- what is known

    @property
    def stack(self) -> Stack:
        return self._stack

    @property
    def headers(self) -> Mapping[str, SliceHeader]:
        return self._headers

    @property
    def slices_inferred(self) -> int:
        return sum(place.inferred is not None for place in self._places.values())

    @property
    def coverage(self) -> float:
        """Inferred slices over announced ones, or over accepted ones; 0 to 1."""
        whole = max(self.expected_slices or 0, len(self._places))
        return self.slices_inferred / whole if whole else 0.0

    @property
    def section(self) -> Section:
        """From the geometry; from the slice thickness while there is one slice."""
        spacing = self._stack.spacing_mm
        if spacing is None:
            return self.announced_section or Section.THICK
        return section_of(spacing)

    @property
    def announced_section(self) -> Section | None:
        """What the caller said, else what the slices' thickness claims: the thinnest decides."""
        if self._announced_section:
            return self._announced_section
        known = [header.geometry.thickness for header in self._headers.values()]
        thicknesses = [thickness for thickness in known if thickness]
        return section_of(min(thicknesses)) if thicknesses else None

    @property
    def is_too_short(self) -> bool:
        return (
            len(self._stack) < self.policy.min_slices
            or self._stack.extent_mm < self.policy.min_extent_mm
        )

    def tally(self, sop_instance_uid: str) -> SliceTally:
        return self._places[sop_instance_uid].tally

    def pixel_volumes_mm3(self) -> list[float]:
        """The volume that a pixel of each slice stands for, foot to head."""
        return [
            self._headers[uid].geometry.pixel_area_mm2 * length
            for uid, length in zip(self._stack.ids, self._lengths_mm(), strict=True)
        ]

    def scores(self) -> Scores:
        """Scores over the slices inferred so far."""
        found = score(self._volumes())
        if self.phase is not ScanPhase.FINISHED:
            return replace(found, no_score=found.no_score and NoScore.PENDING)
        if not self._places:
            return replace(found, no_score=NoScore.NO_SLICES)
        if self.is_too_short:
            return Scores(Volumes(), no_score=NoScore.TOO_SHORT)
        return found

    # -- what happens

    def offer(self, header: SliceHeader) -> list[Event]:
        """A readable slice arrived. Answers with Accepted, Duplicate or Refused first."""
        known = self._headers.get(header.sop_instance_uid)
        if known is not None and known.digest == header.digest:
            return [Duplicate(header.sop_instance_uid)]
        if refused := self._refused(header):
            return [refused]
        index = self._insert(header)
        events: list[Event] = [Accepted(header.sop_instance_uid)]
        events += [Noticed(notice) for notice in header.notices]
        events += self._settled_around(index)
        if self.expected_slices == len(self._places):
            events += self.complete(CompletedBy.COUNT)
        return events

    def record(self, slab: Slab, tally: SliceTally) -> list[Event]:
        """The result of a slab; ignored when another slab of the target was asked for since."""
        place = self._places[slab.target]
        if place.asked != slab or place.inferred == slab or self.phase is ScanPhase.FINISHED:
            return []
        place.inferred, place.tally = slab, tally
        place.revision += 1
        self._waiting.discard(slab.target)
        events: list[Event] = [Inferred(slab.target, place.revision)]
        return events + self._finished()

    def complete(self, by: CompletedBy) -> list[Event]:
        """No more slices will come. Asks for every slab that is not yet the final one."""
        if self.phase is not ScanPhase.RECEIVING:
            return []
        self.phase, self.completed_by = ScanPhase.COMPLETING, by
        events: list[Event] = [Completed(by)]
        events += self._final_slabs()
        return events + self._finished()

    # -- inside

    def _refused(self, header: SliceHeader) -> Refused | None:
        if self.phase is not ScanPhase.RECEIVING:
            return Refused(header.sop_instance_uid, _TOO_LATE)
        refusal = refusal_of(
            header,
            self._headers,
            self._stack,
            self.series_instance_uid,
            self.policy.max_slices,
        )
        return Refused(header.sop_instance_uid, refusal) if refusal else None

    def _insert(self, header: SliceHeader) -> int:
        self._headers[header.sop_instance_uid] = header
        self._places[header.sop_instance_uid] = _Place(header)
        index = self._stack.insert(header.geometry.along_mm, header.sop_instance_uid)
        if index == len(self._stack) - 1:
            self._growing = +1
        elif index == 0:
            self._growing = -1
        return index

    def _settled_around(self, index: int) -> list[Event]:
        """Ask for the slabs that a new slice settled."""
        spacing = self._tighten_spacing(index)
        if spacing is None:
            return []
        shape = self.policy.shapes[section_of(spacing)]
        return self._ask_all(settled_slabs(self._stack, index, shape, spacing, self._growing))

    def _tighten_spacing(self, index: int) -> float | None:
        """The smallest step so far, with the steps to the neighbours of a new slice."""
        positions = self._stack.positions
        for low, high in ((index - 1, index), (index, index + 1)):
            if low >= 0 and high < len(positions):
                step = positions[high] - positions[low]
                self._smallest_step = min(step, self._smallest_step or step)
        return self._smallest_step

    def _ask(self, slab: Slab) -> SlabReady | None:
        place = self._places[slab.target]
        if place.asked == slab:
            return None
        place.asked = slab
        if place.inferred == slab:
            self._waiting.discard(slab.target)
            return None
        self._waiting.add(slab.target)
        return SlabReady(slab)

    def _ask_all(self, slabs: Iterable[Slab]) -> list[Event]:
        asked = [self._ask(slab) for slab in slabs]
        return [event for event in asked if event]

    def _final_slabs(self) -> list[Event]:
        spacing = self._stack.spacing_mm or 0.0
        return self._ask_all(final_slabs(self._stack, self.policy.shapes[self.section], spacing))

    def _finished(self) -> list[Event]:
        if self.phase is not ScanPhase.COMPLETING or self._waiting:
            return []
        self.phase = ScanPhase.FINISHED
        return [Finished()]

    def _volumes(self) -> Volumes:
        counted = [
            (self._places[uid].tally, volume)
            for uid, volume in zip(self._stack.ids, self.pixel_volumes_mm3(), strict=True)
            if self._places[uid].inferred is not None
        ]
        return volumes([tally for tally, _ in counted], [volume for _, volume in counted])

    def _lengths_mm(self) -> list[float]:
        thickness = next(iter(self._headers.values())).geometry.thickness if self._headers else None
        return self._stack.lengths_mm(alone_mm=thickness or 0.0)
