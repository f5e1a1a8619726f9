"""Where results go: stdout, as JSON lines or for people."""

from __future__ import annotations

import json
from collections.abc import Mapping

from rich.console import Console

_WIDTH = 120


def print_json(record: Mapping[str, object]) -> None:
    """One object on one line, at once."""
    print(json.dumps(record, allow_nan=False), flush=True)


def console() -> Console:
    """For people, on stdout; wide enough for a board where no terminal gives a width."""
    out = Console(highlight=False)
    return out if out.is_terminal else Console(highlight=False, width=_WIDTH)
