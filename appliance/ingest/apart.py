"""DICOM is read in processes of their own: a decoder that dies costs one slice, not the daemon.

Decoders are C code that is fed what comes over a hospital's network. One that crashes, never ends
or takes too much memory is ended with its process; the slice is refused and the next one gets a
new process. What a process does is in :mod:`appliance.ingest.child`.

The bytes of a slice go there, and its pixels come back, through memory that both share; all else
goes over a socket.
"""

from __future__ import annotations

import logging
import mmap
import os
import pickle
import queue
import signal
import socket
import subprocess
import sys
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from appliance.ingest.errors import SliceRefusedError
from appliance.ingest.limits import IngestLimits
from appliance.ingest.part10 import check_size
from appliance.scan.slice import Slice, SliceHeader
from appliance.scan.verdicts import Refusal, RefusalReason

logger = logging.getLogger(__name__)

#: What a process answers about a slice: its header and the shape of its HU plane, which lies in
#: the shared memory; why it is refused; or what the reader failed with.
Answer = (
    tuple[Literal["slice"], SliceHeader, tuple[int, int]]
    | tuple[Literal["refused"], Refusal]
    | tuple[Literal["failed"], str]
)
#: Address space of a process, libraries included.
ADDRESS_SPACE_BYTES = 4 * 2**30
_CHILD = "appliance.ingest.child"
#: Freed memory up to this is the C library's to use again: else the kernel clears some anew with
#: every slice.
_KEPT_BYTES = 64 * 2**20
_KEEP_FREED = dict.fromkeys(("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"), str(_KEPT_BYTES))
#: The slowest slice that is read takes well under a second; so long it may take on a busy box, s.
_PATIENCE_S = 20.0
_START_S = 60.0
_DIED = Refusal(
    RefusalReason.UNDECODABLE,
    "The decoder failed on this slice: it is damaged, or not what it says.",
)


class ReaderPool:
    """Processes that read DICOM, at most so many at a time. Safe from any thread.

    Parameters
    ----------
    processes
        How many.
    limits
        Of ingest.
    patience_s
        A slice that takes longer is given up, and its process, s.
    """

    def __init__(
        self, processes: int, limits: IngestLimits, patience_s: float = _PATIENCE_S
    ) -> None:
        self._limits, self._patience_s = limits, patience_s
        self._places: queue.LifoQueue[_Reader | None] = queue.LifoQueue()
        self._closed = threading.Event()
        for _ in range(processes):
            self._places.put(_Reader(limits))

    def read(self, dicom: bytes) -> Slice:
        """As :func:`appliance.ingest.read_dicom`, in another process.

        Raises
        ------
        SliceRefusedError
            Also when the process died of it.
        """
        check_size(dicom, self._limits)
        reader = self._places.get()
        try:
            if reader is None:
                reader = _Reader(self._limits)
            return self._answered(reader, dicom)
        except _ReaderDiedError as error:
            logger.error("a decoder was ended and its slice refused: %s", error)
            reader = None
            raise SliceRefusedError(_DIED) from error
        finally:
            if reader and self._closed.is_set():
                reader.end()
            self._places.put(reader)

    def close(self) -> None:
        """End the processes; one that works ends when it has answered."""
        self._closed.set()
        waiting = []
        while not self._places.empty():
            waiting.append(self._places.get())
        for reader in waiting:
            if reader:
                reader.end()
            self._places.put(None)

    def _answered(self, reader: _Reader, dicom: bytes) -> Slice:
        match reader.ask(dicom, self._patience_s):
            case ("slice", header, shape):
                return Slice(header, reader.plane(shape))
            case ("refused", refusal):
                raise SliceRefusedError(refusal)
            case ("failed", words):
                logger.error("a slice made the reader fail with %s", words)
                raise SliceRefusedError(_DIED)


class _ReaderDiedError(Exception):
    """A process that is no more, in words that name no slice."""


class _Reader:
    """One process, and the memory it shares: as large as the largest slice that is read."""

    def __init__(self, limits: IngestLimits) -> None:
        ours, theirs = socket.socketpair()
        modules = os.pathsep.join(place or str(Path.cwd()) for place in sys.path)
        memory = os.memfd_create("slice")
        os.ftruncate(memory, limits.max_bytes)
        handed = (theirs.fileno(), memory)
        with theirs, os.fdopen(memory, "rb"):
            self._shared = mmap.mmap(memory, limits.max_bytes)
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", _CHILD, str(os.getpid()), *map(str, handed)],
                stdin=subprocess.DEVNULL,
                env={**os.environ, **_KEEP_FREED, "PYTHONPATH": modules},
                pass_fds=handed,
                start_new_session=True,
            )
        self._link = Connection(ours.detach())
        self._link.send_bytes(pickle.dumps(limits))
        self._warm = False

    def ask(self, dicom: bytes, patience_s: float) -> Answer:
        """What it answers about a slice.

        Raises
        ------
        _ReaderDiedError
            And it is ended.
        """
        try:
            if not self._warm:
                self._wait(_START_S)
                self._link.recv_bytes()
                self._warm = True
            self._shared[: len(dicom)] = dicom
            self._link.send(len(dicom))
            self._wait(patience_s)
            answer: Answer = self._link.recv()
        except (EOFError, OSError) as error:
            raise _ReaderDiedError(self._words()) from error
        return answer

    def plane(self, shape: tuple[int, int]) -> npt.NDArray[np.int16]:
        """The HU plane of the slice it answered about last."""
        return np.ndarray(shape, np.int16, self._shared).copy()

    def end(self) -> None:
        self._link.close()
        self._shared.close()
        self._process.kill()
        self._process.wait()

    def _wait(self, patience_s: float) -> None:
        if not self._link.poll(patience_s):
            self.end()
            raise _ReaderDiedError(f"it took longer than {patience_s:g} s")

    def _words(self) -> str:
        """How it ended; ended if it has not."""
        try:
            status = self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            status = 0
        self.end()
        return f"it died of {signal.Signals(-status).name}" if status < 0 else "it ended"
