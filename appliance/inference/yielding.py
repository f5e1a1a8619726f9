"""Inference gives way to reading and answering slices.

Niceness belongs to a thread on Linux and is inherited by the threads it makes:
whoever steps back before loading engines takes their threads along.
"""

from __future__ import annotations

import contextlib
import os
import threading

#: Enough that a busy engine never holds up an acknowledgement.
_NICENESS = 5


def give_way() -> None:
    """Let this thread, and the threads it will make, run behind the others."""
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
