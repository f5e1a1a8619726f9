"""Frames decoded on a GPU, beside the CPU that decodes whatever the GPU does not.

A GPU decodes only what loses nothing, so that a slice has the same HU whichever of the
two decoded it. It is tried first on frames whose samples are known, coding by coding. Slices
that come together are decoded together: whatever waits when the GPU is free is its next
batch, and nothing waits for a batch to fill. Who waits too long decodes on the CPU.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol

from appliance.ingest.codestream import FrameHeader
from appliance.ingest.probes import find_exact
from appliance.ingest.widening import Coding, WideFrame, Words

logger = logging.getLogger(__name__)

#: The CPU takes 26 ms for a slice of JPEG 2000, and an ack is due within 50.
_PATIENCE_S = 0.02
_CLOSING_S = 5.0
_GPU = "gpu"


class Decoder(Protocol):
    """What decodes several frames at once; see :class:`engines.decoding.FrameDecoder`."""

    batch: int

    def decode(self, frames: Sequence[bytes]) -> list[Words]:
        """Raises an Exception when one of them cannot be decoded."""
        ...


@dataclass(frozen=True, slots=True)
class _Waiting:
    frame: WideFrame
    answer: Future[Words | None] = field(default_factory=Future)


class Accelerator:
    """A decoder on a thread of its own, made and tried there: the CPU decodes meanwhile.

    Parameters
    ----------
    make
        Makes the decoder.
    name
        What the decoder runs on, for the log.
    patience_s
        How long a frame waits for its samples, s.
    """

    def __init__(
        self, make: Callable[[], Decoder], name: str, patience_s: float = _PATIENCE_S
    ) -> None:
        self._make, self._name, self._patience_s = make, name, patience_s
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._codings: frozenset[Coding] = frozenset()
        self._busy_since: float | None = None
        self._tried = threading.Event()
        self.decoded = 0
        self._thread = threading.Thread(target=self._work, name="accelerator", daemon=True)
        self._thread.start()

    def codings(self, timeout_s: float | None = None) -> frozenset[Coding]:
        """What it decodes exactly, once it has been tried; nothing when it failed since."""
        self._tried.wait(timeout_s)
        return self._codings

    def decode(self, frame: WideFrame) -> Words | None:
        """The frame's samples, shape (rows, columns); None when the CPU is to decode it.

        From any thread.
        """
        if frame.coding not in self._codings or self._hangs:
            return None
        waiting = _Waiting(frame)
        self._queue.put(waiting)
        try:
            return waiting.answer.result(self._patience_s)
        except TimeoutError:
            waiting.answer.cancel()
            return None

    def close(self) -> None:
        """Let the batch in hand end; decode nothing more."""
        self._codings = frozenset()
        self._queue.put(None)
        self._thread.join(_CLOSING_S)

    @property
    def _hangs(self) -> bool:
        since = self._busy_since
        return since is not None and time.monotonic() - since > self._patience_s

    def _work(self) -> None:
        try:
            decoder = self._make()
            self._try(decoder)
        except Exception as error:  # noqa: BLE001
            logger.warning("frames are decoded on the CPU: %s: %s", self._name, error)
            return
        finally:
            self._tried.set()
        while (first := self._queue.get()) is not None:
            self._answer(decoder, self._batch(first, decoder.batch))

    def _try(self, decoder: Decoder) -> None:
        self._codings = find_exact(decoder.decode)
        names = ", ".join(sorted(coding.value for coding in self._codings))
        logger.info("%s decodes %s", self._name, names or "no frame exactly: the CPU decodes")

    def _batch(self, first: _Waiting, most: int) -> list[_Waiting]:
        """All that waits, at most so many."""
        batch = [first]
        while len(batch) < most and not self._queue.empty():
            following = self._queue.get()
            if following is None:
                self._queue.put(None)
                break
            batch.append(following)
        wanted = [one for one in batch if one.answer.set_running_or_notify_cancel()]
        for one in wanted:
            if one.frame.coding not in self._codings:
                one.answer.set_result(None)  # what decoded it was lost while it waited
        return [one for one in wanted if not one.answer.done()]

    def _answer(self, decoder: Decoder, batch: list[_Waiting]) -> None:
        if not batch:
            return
        self._busy_since = time.monotonic()
        try:
            decoded = decoder.decode([one.frame.data for one in batch])
            self.decoded += len(batch)
            for one, wide in zip(batch, decoded, strict=True):
                one.answer.set_result(one.frame.narrowed(wide))
        except Exception as error:  # noqa: BLE001
            before, self._codings = self._codings, frozenset()  # nobody waits for what follows
            for one in batch:
                if not one.answer.done():
                    one.answer.set_result(None)
            self._blame(decoder, error, before)
        finally:
            self._busy_since = None

    def _blame(self, decoder: Decoder, error: Exception, before: frozenset[Coding]) -> None:
        """Find out whether a frame or the device made it fail."""
        logger.info("%s could not decode a batch: %s", self._name, error)
        still = find_exact(decoder.decode)
        self._codings = before & still
        if lost := before - still:
            names = ", ".join(sorted(coding.value for coding in lost))
            logger.warning("%s no longer decodes %s: the CPU does", self._name, names)


def gpu_to_decode(wanted: str, devices: Iterable[str]) -> int | None:
    """The number of the GPU that is to decode; None for the CPU.

    Parameters
    ----------
    wanted
        "auto": the first GPU that infers; "cpu".
    devices
        Short names of the devices that infer, as "gpu0" or "cpu".
    """
    gpus = (name.removeprefix(_GPU) for name in devices if name.startswith(_GPU))
    return next(map(int, gpus), None) if wanted == "auto" else None


def gpu_accelerator(ordinal: int = 0) -> Accelerator:
    """DALI on a GPU, by the number that CUDA gives it."""

    def make() -> Decoder:
        from engines.decoding import FrameDecoder

        return FrameDecoder("gpu", ordinal)

    return Accelerator(make, f"{_GPU}{ordinal}")


Widen = Callable[[bytes, FrameHeader], WideFrame | None]

_accelerator: Accelerator | None = None


def accelerate(accelerator: Accelerator | None) -> None:
    """Have this process's slices decoded by it from now on; by the CPU alone without one."""
    global _accelerator
    _accelerator = accelerator


def decode_accelerated(widen: Widen, frame: bytes, header: FrameHeader) -> Words | None:
    """A lossless frame's samples from the GPU; None when the CPU is to decode it.

    Parameters
    ----------
    widen
        Of its codec.
    frame, header
        The codestream, and what it says of itself.
    """
    if _accelerator is None:
        return None
    wide = widen(frame, header)
    return None if wide is None else _accelerator.decode(wide)
