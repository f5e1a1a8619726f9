"""DICOM is read in processes of their own: a decoder that dies costs one slice, not the daemon.

Decoders are C code that is fed what comes over a hospital's network. One that crashes, never ends
or takes too much memory is ended with its process. A slice whose process died is tried once more
in a fresh one, for a process may also die of the box it runs on (the kernel ends processes when
memory is short); when that dies, too, the slice is refused. What a process does is in
:mod:`appliance.ingest.child`, what it may answer in :mod:`appliance.ingest.answers`.

The bytes of a slice go there, and its pixels come back, through memory that both share; all else
goes over a socket.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time

from appliance.ingest.answers import Answer, Failed, Starved
from appliance.ingest.errors import ReadersUnavailableError, SliceRefusedError
from appliance.ingest.limits import IngestLimits
from appliance.ingest.part10 import check_size
from appliance.ingest.process import ReaderDiedError, ReaderHungError, ReaderProcess
from appliance.scan.slice import Slice, SliceHeader
from appliance.scan.verdicts import Refusal, RefusalReason

logger = logging.getLogger(__name__)

#: The slowest slice that is read takes well under a second; so long it may take on a busy box, s.
_PATIENCE_S = 20.0
#: A process that works on a slice for longer is made up for by a further one, s.
_SLOW_S = 2.0
#: How often who waits for a process looks whether one of them is slow, s.
_LOOK_S = 0.25
#: Processes that are tried with one slice, and that are started in a row before that is given up.
_TRIES, _STARTS = 2, 2
_DIED = Refusal(
    RefusalReason.UNDECODABLE,
    "The decoder failed on this slice: it is damaged, or not what it says.",
)


class ReaderPool:
    """Processes that read DICOM, at most so many at a time. Safe from any thread.

    Parameters
    ----------
    processes
        How many; as many more while those are slow, one for each.
    limits
        Of ingest.
    patience_s
        A slice that takes longer is given up, and its process, s.
    slow_s
        A process that takes longer is made up for by a further one, s.
    """

    def __init__(
        self,
        processes: int,
        limits: IngestLimits,
        patience_s: float = _PATIENCE_S,
        slow_s: float = _SLOW_S,
    ) -> None:
        self._processes, self._limits = processes, limits
        self._patience_s, self._slow_s = patience_s, slow_s
        self._lock = threading.Lock()
        self._closed = False
        self._idle: queue.LifoQueue[_Place] = queue.LifoQueue()
        self._places = [_Place(limits, ReaderProcess(limits)) for _ in range(processes)]
        for place in self._places:
            self._idle.put(place)

    @property
    def most(self) -> int:
        """Processes that may read at once, those that make up for slow ones included."""
        return 2 * self._processes

    def read(self, dicom: bytes) -> Slice:
        """As :func:`appliance.ingest.read_dicom`, in another process.

        Raises
        ------
        SliceRefusedError
            Also when the processes that were tried died of it.
        ReadersUnavailableError
            When the box has no process or no memory to read it: it says nothing of the slice.
        """
        check_size(dicom, self._limits)
        place = self._take()
        try:
            return place.read(dicom, self._patience_s)
        finally:
            self._put(place)

    def close(self) -> None:
        """End the processes; one that works ends when it has answered."""
        with self._lock:
            self._closed = True
        waiting = []
        with contextlib.suppress(queue.Empty):
            while True:
                waiting.append(self._idle.get_nowait())
        for place in waiting:
            place.end()
            self._idle.put(place)

    def _take(self) -> _Place:
        while True:
            with contextlib.suppress(queue.Empty):
                return self._idle.get(timeout=_LOOK_S)
            if place := self._further():
                return place

    def _further(self) -> _Place | None:
        """A place for a further process, where one is slow that none makes up for yet."""
        with self._lock:
            slow = sum(place.works_for_s > self._slow_s for place in self._places)
            if len(self._places) - self._processes >= min(slow, self._processes):
                return None
            place = _Place(self._limits)
            self._places.append(place)
            return place

    def _put(self, place: _Place) -> None:
        """Give a place back; one too many is given up once the others are idle."""
        with self._lock:
            further = len(self._places) > self._processes
            spare = further and self._idle.qsize() >= self._processes
            if spare:
                self._places.remove(place)
        if spare or self._closed:
            place.end()
        if not spare:
            self._idle.put(place)


class _Place:
    """Where one process after the other reads one slice at a time."""

    def __init__(self, limits: IngestLimits, reader: ReaderProcess | None = None) -> None:
        self._limits, self._reader = limits, reader
        self._at_work_since: float | None = None

    @property
    def works_for_s(self) -> float:
        """How long its process has had the slice it works on; 0 when it has none."""
        since = self._at_work_since
        return time.monotonic() - since if since is not None else 0.0

    def read(self, dicom: bytes, patience_s: float) -> Slice:
        """As :meth:`ReaderPool.read`."""
        for _ in range(_TRIES):
            reader = self._ready()
            self._at_work_since = time.monotonic()
            try:
                answer = reader.ask(dicom, patience_s)
            except ReaderDiedError as error:
                self._reader = None
                logger.error("a decoder was ended: %s", error)
                if isinstance(error, ReaderHungError):
                    break
            else:
                return _slice(reader, answer)
            finally:
                self._at_work_since = None
        raise SliceRefusedError(_DIED)

    def end(self) -> None:
        if self._reader:
            self._reader.end()
            self._reader = None

    def _ready(self) -> ReaderProcess:
        """A process that lives and can begin; one that died with nothing to do is replaced."""
        try:
            for _ in range(_STARTS):
                if self._reader and not self._reader.alive:
                    self.end()
                if self._reader is None:
                    self._reader = ReaderProcess(self._limits)
                try:
                    self._reader.await_ready()
                    return self._reader
                except ReaderDiedError as error:
                    self._reader = None
                    logger.error("a process that was to read DICOM did not start: %s", error)
        except OSError as error:
            raise ReadersUnavailableError(f"no process can be started: {error.strerror}") from error
        raise ReadersUnavailableError("the processes that read end before they begin")


def _slice(reader: ReaderProcess, answer: Answer) -> Slice:
    match answer:
        case SliceHeader(geometry=geometry):
            return Slice(answer, reader.plane((geometry.rows, geometry.columns)))
        case Refusal():
            raise SliceRefusedError(answer)
        case Failed(words):
            logger.error("a slice made the reader fail with %s", words)
            raise SliceRefusedError(_DIED)
        case Starved():
            raise ReadersUnavailableError("there is no memory to read a slice")
