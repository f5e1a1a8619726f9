"""What is sound in a damaged log, kept in a fresh one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from appliance.storage.errors import SpoolCorruptError, SpoolReadError, SpoolWriteError
from appliance.storage.logfile import LogFile
from appliance.storage.reader import LogReader, read_payload
from appliance.storage.record import Record, RecordKind, RecordRef

#: So much is read, written and synced at once.
_BATCH_BYTES = 16 * 2**20


def salvage(damaged: Path, fresh: Path) -> int:
    """Copy the sound records of a damaged log into a fresh one; all of them are durable then.

    An END is left out: what was damaged may be a slice, so the scan is not known to be whole.
    Nothing is made of a log whose OPEN is damaged.

    Parameters
    ----------
    damaged, fresh
        The logs; the second one is made.

    Returns
    -------
    How many records were copied.

    Raises
    ------
    SpoolVersionError
        When a newer Breathhold wrote it.
    SpoolReadError, SpoolWriteError
        When the system refuses.
    """
    refs = [ref for ref in _survivors(damaged) if ref.kind is not RecordKind.END]
    if not refs or refs[0].kind is not RecordKind.OPEN:
        return 0
    log = LogFile(fresh)
    try:
        for batch in _batches(refs):
            log.write([Record(ref.kind, ref.key, read_payload(damaged, ref)) for ref in batch])
            log.sync()
    except OSError as error:
        log.discard()
        raise SpoolWriteError(f"salvaging scan {fresh.parent.name}", error) from error
    return len(refs)


def _survivors(path: Path) -> list[RecordRef]:
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            return list(LogReader(file, path.parent.name, size).survivors())
    except SpoolCorruptError:  # not even its header is sound
        return []
    except OSError as error:
        raise SpoolReadError(f"reading the log of scan {path.parent.name}", error) from error


def _batches(refs: Sequence[RecordRef]) -> Iterator[list[RecordRef]]:
    batch: list[RecordRef] = []
    for ref in refs:
        if batch and sum(one.length for one in batch) + ref.length > _BATCH_BYTES:
            yield batch
            batch = []
        batch.append(ref)
    yield batch
