"""The process that reads DICOM for :mod:`appliance.ingest.apart`, one slice after the other.

It ends with its parent, whose signals it leaves to the parent, may use only so much memory, and
is the first that the kernel ends when the box has none left.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import pickle
import resource
import signal
import socket
import sys
from pathlib import Path

import numpy as np

from appliance.failpoints import hit
from appliance.ingest.answers import MOST_BYTES, Answer, Failed, Starved, encode
from appliance.ingest.dicom import read_dicom
from appliance.ingest.errors import SliceRefusedError, is_of_the_box
from appliance.ingest.limits import IngestLimits
from appliance.ingest.process import SIZE
from appliance.scan.verdicts import Refusal, RefusalReason

#: Address space of a process, libraries included.
ADDRESS_SPACE_BYTES = 4 * 2**30
_PR_SET_PDEATHSIG = 1  # prctl(2)
_FIRST_TO_END = "1000"  # proc(5), oom_score_adj
#: The largest slice is read with far less.
_AMPLE_BYTES = 256 * 2**20


def main(parent: int, number: int, memory: int) -> None:
    """Answer what comes over a socket until it is closed, unless the parent is gone already."""
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_END)
    if os.getppid() != parent:
        return
    with socket.socket(fileno=number) as asked, contextlib.suppress(OSError):  # it was closed
        limits = pickle.loads(asked.recv(MOST_BYTES))
        shared = mmap.mmap(memory, limits.max_bytes)
        asked.send(b"ready")
        while asks := asked.recv(SIZE.size):
            (size,) = SIZE.unpack(asks)
            asked.send(encode(_answer(shared, size, limits)))


def _answer(shared: mmap.mmap, size: int, limits: IngestLimits) -> Answer:
    """Read the slice at the beginning of the shared memory, and put its HU plane there."""
    try:
        hit("decoder")
        read = read_dicom(memoryview(shared)[:size], limits)
        np.ndarray(read.hu.shape, np.int16, shared)[:] = read.hu
        return read.header
    except SliceRefusedError as refused:
        return _verdict(refused.refusal)
    except Exception as error:  # noqa: BLE001 - whatever it is, it costs this slice only
        found = Failed(type(error).__name__)
        return Starved() if is_of_the_box(error) else _verdict(found)


def _verdict(found: Refusal | Failed) -> Answer:
    """What was found of a slice, unless the decoder failed where the box has no memory."""
    failed = isinstance(found, Failed) or found.reason is RefusalReason.UNDECODABLE
    return Starved() if failed and not _ample() else found


def _ample() -> bool:
    """Whether a slice could have had all the memory that one may need."""
    try:
        mmap.mmap(-1, _AMPLE_BYTES).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
