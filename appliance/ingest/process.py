"""One process that reads DICOM, as the daemon holds it; its other end is ``child.py``."""

from __future__ import annotations

import fcntl
import mmap
import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from appliance.ingest.answers import MOST_BYTES, Answer, AnswerError, decode
from appliance.ingest.limits import IngestLimits

_CHILD = "appliance.ingest.child"
#: How many bytes of the shared memory hold the slice that is to be read.
SIZE = struct.Struct("!Q")
#: Freed memory up to this is the C library's to use again: else the kernel clears some anew with
#: every slice.
_KEPT_BYTES = 64 * 2**20
_KEEP_FREED = dict.fromkeys(("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"), str(_KEPT_BYTES))
#: The shared memory keeps its size, whatever the process does: to read beyond its end is fatal.
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
#: It multiplies no matrices: on a box of many cores the threads that wait to would take its address
#: space.
_NO_THREADS = {"OPENBLAS_NUM_THREADS": "1"}
_START_S = 60.0


class ReaderDiedError(Exception):
    """A process that is no more, in words that name no slice."""


class ReaderHungError(ReaderDiedError):
    """It gave no answer in time, and was ended."""


class ReaderProcess:
    """One process, and the memory it shares: as large as the largest slice that is read.

    Raises
    ------
    OSError
        When the box has no process, memory or file handle left for it.
    """

    def __init__(self, limits: IngestLimits) -> None:
        self._limits, self._warm = limits, False
        memory = os.memfd_create("slice", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        with os.fdopen(memory, "rb"):
            os.ftruncate(memory, limits.max_bytes)
            fcntl.fcntl(memory, fcntl.F_ADD_SEALS, _SEALS)
            self._shared = mmap.mmap(memory, limits.max_bytes)
            self._link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            try:
                with theirs:
                    self._link.send(pickle.dumps(limits))
                    self._process = _started(theirs.fileno(), memory)
            except BaseException:
                self._link.close()
                self._shared.close()
                raise

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def await_ready(self) -> None:
        """Wait until it has imported what it needs.

        Raises
        ------
        ReaderDiedError
            And it is ended.
        """
        if not self._warm:
            self._packet(_START_S)
            self._warm = True

    def ask(self, dicom: bytes, patience_s: float) -> Answer:
        """What it answers about a slice.

        Raises
        ------
        ReaderHungError
            When it took longer than `patience_s`; it is ended.
        ReaderDiedError
            When it died of it or answers nonsense; it is ended.
        """
        try:
            return self._answer(dicom, patience_s)
        except ReaderDiedError:
            raise
        except BaseException:
            self.end()  # with this answer unread it would answer about the slice before, for ever
            raise

    def plane(self, shape: tuple[int, int]) -> npt.NDArray[np.int16]:
        """The HU plane of the slice it answered about last."""
        return np.ndarray(shape, np.int16, self._shared).copy()

    def end(self) -> None:
        self._link.close()
        self._shared.close()
        self._process.kill()
        self._process.wait()

    def _answer(self, dicom: bytes, patience_s: float) -> Answer:
        self._shared[: len(dicom)] = dicom
        try:
            self._link.send(SIZE.pack(len(dicom)))
        except OSError as error:
            raise ReaderDiedError(self._words()) from error
        try:
            return decode(self._packet(patience_s), self._limits)
        except AnswerError as error:
            self.end()
            raise ReaderDiedError(f"its answer cannot be read: {error}") from error

    def _packet(self, patience_s: float) -> bytes:
        """What it sends next, whole: packets have ends, and are cut where they are too long."""
        self._link.settimeout(patience_s)
        try:
            packet = self._link.recv(MOST_BYTES + 1)
        except TimeoutError as error:
            self.end()
            raise ReaderHungError(f"it took longer than {patience_s:g} s") from error
        except OSError as error:
            raise ReaderDiedError(self._words()) from error
        if not packet:
            raise ReaderDiedError(self._words())
        return packet

    def _words(self) -> str:
        """How it ended; ended if it has not."""
        try:
            status = self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            status = 0
        self.end()
        return f"it died of {signal.Signals(-status).name}" if status < 0 else "it ended"


def _started(link: int, memory: int) -> subprocess.Popen[bytes]:
    modules = os.pathsep.join(place or str(Path.cwd()) for place in sys.path)
    return subprocess.Popen(
        [sys.executable, "-P", "-m", _CHILD, str(os.getpid()), str(link), str(memory)],
        stdin=subprocess.DEVNULL,
        env={**os.environ, **_KEEP_FREED, **_NO_THREADS, "PYTHONPATH": modules},
        pass_fds=(link, memory),
        start_new_session=True,
    )
