"""The process that reads DICOM for :mod:`appliance.ingest.apart`, one slice after the other.

It ends with its parent, whose signals it leaves to the parent, and may use only so much memory.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import pickle
import resource
import signal
import sys
from multiprocessing.connection import Connection

import numpy as np

from appliance.failpoints import hit
from appliance.ingest.apart import ADDRESS_SPACE_BYTES, Answer
from appliance.ingest.dicom import read_dicom
from appliance.ingest.errors import SliceRefusedError
from appliance.ingest.limits import IngestLimits

_PR_SET_PDEATHSIG = 1  # prctl(2)


def main(parent: int, number: int, memory: int) -> None:
    """Answer what comes over a socket until it is closed, unless the parent is gone already."""
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
    if os.getppid() != parent:
        return
    with Connection(number) as asked, contextlib.suppress(EOFError, OSError):  # it was closed
        limits = pickle.loads(asked.recv_bytes())
        shared = mmap.mmap(memory, limits.max_bytes)
        asked.send_bytes(b"")
        while True:
            asked.send(_answer(shared, asked.recv(), limits))


def _answer(shared: mmap.mmap, size: int, limits: IngestLimits) -> Answer:
    """Read the slice at the beginning of the shared memory, and put its HU plane there."""
    try:
        hit("decoder")
        read = read_dicom(memoryview(shared)[:size], limits)
        rows, columns = read.hu.shape
        np.ndarray((rows, columns), np.int16, shared)[:] = read.hu
        return "slice", read.header, (rows, columns)
    except SliceRefusedError as refused:
        return "refused", refused.refusal
    except Exception as error:  # noqa: BLE001 - whatever it is, it costs this slice only
        return "failed", type(error).__name__


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
