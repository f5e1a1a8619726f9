"""What a scan says when something happened to it: small named values, newest last."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from appliance.scan.slabs import Slab
from appliance.scan.verdicts import Notice, Refusal


class CompletedBy(enum.Enum):
    """Which signal said that the scan is complete, strongest first."""

    END = "end"
    COUNT = "count"
    QUIET = "quiet"
    ABANDONED = "abandoned"


@dataclass(frozen=True, slots=True)
class Accepted:
    """The slice belongs to the scan from now on."""

    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The same slice was accepted before; nothing changes."""

    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The slice is not used; the scan goes on."""

    sop_instance_uid: str
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class SlabReady:
    """This slab can be inferred; it replaces an earlier slab of the same target."""

    slab: Slab


@dataclass(frozen=True, slots=True)
class Inferred:
    """A slice counts in the scores; its mask is final unless a later revision comes."""

    sop_instance_uid: str
    revision: int


@dataclass(frozen=True, slots=True)
class Noticed:
    """Something the reader of the report should know."""

    notice: Notice


@dataclass(frozen=True, slots=True)
class Completed:
    """No more slices; what is left is inferred now."""

    by: CompletedBy


@dataclass(frozen=True, slots=True)
class Finished:
    """Every slab of the complete scan is counted: the report can be written."""


Event = Accepted | Duplicate | Refused | SlabReady | Inferred | Noticed | Completed | Finished
