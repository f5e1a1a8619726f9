"""Parts of the lung: which models tell them apart, and what they are called."""

from __future__ import annotations

import re
from collections.abc import Sequence

#: Roles of models that divide whole scans, in the order in which they run.
DIVIDING = ("lobes", "segments")

#: The maps of a lobes model.
LOBE_NAMES = (
    "right_upper_lobe",
    "right_middle_lobe",
    "right_lower_lobe",
    "left_upper_lobe",
    "left_lower_lobe",
)

#: Labels are bytes, and 0 is no part.
_MOST_PARTS = 255
_SNAKE_CASE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


def parts_fault(role: str, form: str, maps: int, names: Sequence[str]) -> str | None:
    """What is wrong with the maps of a model and the names that its spec gives them, if anything.

    Parameters
    ----------
    role, form, maps
        See :class:`engines.models.ModelSpec`.
    names
        As many as maps of a segments model, empty of any other: lobes are always
        :data:`LOBE_NAMES`.
    """
    if role in DIVIDING and form != "block":
        return f"a {role} model answers a block, not {form}"
    if role == "lobes" and maps != len(LOBE_NAMES):
        return f"a lobes model has {len(LOBE_NAMES)} maps, one a lobe, not {maps}"
    if role != "segments":
        return f"a {role} model gives its maps no names" if names else None
    if maps > _MOST_PARTS:
        return f"a segments model has at most {_MOST_PARTS} maps, not {maps}"
    if len(names) != maps:
        return f"a segments model names each of its {maps} maps, not {len(names)} of them"
    if twice := sorted({name for name in names if names.count(name) > 1}):
        return f"two segments have one name: {', '.join(twice)}"
    for name in names:
        if not _SNAKE_CASE.fullmatch(name):
            return f"the name of a segment is snake_case, not {name!r}"
    return None
