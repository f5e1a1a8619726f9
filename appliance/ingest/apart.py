"""DICOM is read in processes of their own: a decoder that dies costs one slice, not the daemon.

Decoders are C code that is fed what comes over a hospital's network. One that crashes, never ends
or takes too much memory is ended with its process; the slice is refused and the next one gets a
new process. What a process does is in :mod:`appliance.ingest.child`.
"""

from __future__ import annotations

import logging
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

from appliance.ingest.errors import SliceRefusedError
from appliance.ingest.limits import IngestLimits
from appliance.scan.slice import Slice
from appliance.scan.verdicts import Refusal, RefusalReason

logger = logging.getLogger(__name__)

#: What a process answers about a slice.
Answer = tuple[Literal["slice"], Slice] | tuple[Literal["refused"], Refusal] | tuple[str, str]
#: Address space of a process, libraries included.
ADDRESS_SPACE_BYTES = 4 * 2**30
_CHILD = "appliance.ingest.child"
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
            case ("slice", Slice() as read):
                return read
            case ("refused", Refusal() as refusal):
                raise SliceRefusedError(refusal)
            case (_, words):
                logger.error("a slice made the reader fail with %s", words)
                raise SliceRefusedError(_DIED)


class _ReaderDiedError(Exception):
    """A process that is no more, in words that name no slice."""


class _Reader:
    """One process."""

    def __init__(self, limits: IngestLimits) -> None:
        ours, theirs = socket.socketpair()
        modules = os.pathsep.join(place or str(Path.cwd()) for place in sys.path)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", _CHILD, str(os.getpid()), str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": modules},
                pass_fds=(theirs.fileno(),),
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
            self._link.send_bytes(dicom)
            self._wait(patience_s)
            answer: Answer = self._link.recv()
        except (EOFError, OSError) as error:
            raise _ReaderDiedError(self._words()) from error
        return answer

    def end(self) -> None:
        self._link.close()
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
