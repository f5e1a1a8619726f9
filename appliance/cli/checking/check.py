"""A question of the doctor's, and its answer."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """One question and its answer.

    Parameters
    ----------
    name
        What was looked at.
    ok
        Whether it is there and works.
    needed
        Whether the appliance needs it to score scans.
    detail
        What was found.
    remedy
        What to do, where something is missing.
    """

    name: str
    ok: bool
    needed: bool
    detail: str
    remedy: str = ""

    def record(self) -> dict[str, object]:
        return {"event": "check", **asdict(self)}
