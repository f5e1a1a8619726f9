"""What infers, as the rest of the house sees it: devices, their engines, and what was lost."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from appliance.scan.stack import Section
from appliance.scan.verdicts import Notice
from engines.parts import DIVIDING
from engines.warm_up import Engine


class DeviceState(enum.Enum):
    """What a device does."""

    LOADING = "loading"
    SERVING = "serving"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """A device as it is now.

    Parameters
    ----------
    words
        What it is, or why it was lost; empty while it is loaded.
    """

    name: str
    state: DeviceState
    words: str


@dataclass(frozen=True, slots=True, eq=False)
class Serving:
    """What infers at some time.

    Parameters
    ----------
    engines
        By model name; those of one device, all others are equal.
    notices
        One a device that was lost before.
    """

    engines: Mapping[str, Engine] = field(default_factory=dict)
    notices: tuple[Notice, ...] = ()

    def engines_for(self, section: Section) -> Mapping[str, Engine]:
        """The engines by role ("lung", "lesion") that serve a section."""
        return {
            engine.spec.role: engine
            for engine in self.engines.values()
            if engine.spec.role == "lung"
            or (engine.spec.role == "lesion" and section.value in engine.spec.sections)
        }

    @property
    def divides_into(self) -> tuple[str, ...]:
        """What the lungs can be divided into: of "lobes" and "segments", what has a model."""
        roles = {engine.spec.role for engine in self.engines.values()}
        return tuple(role for role in DIVIDING if role in roles)
