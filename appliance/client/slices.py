"""Slices that wait to be sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from appliance.ingest import SliceRefusedError, peek_uids
from breathhold.v1 import scan_pb2 as pb


class OutgoingSlice(Protocol):
    """One slice to send. Its pixels are fetched only when it is its turn."""

    @property
    def sop_instance_uid(self) -> str:
        """Which slice it is; empty when that cannot be told (then it is always sent)."""
        ...

    def message(self) -> pb.Slice:
        """The slice for the wire, without its sequence number."""
        ...


@dataclass(frozen=True, slots=True)
class DicomSlice:
    """A DICOM Part 10 file.

    Parameters
    ----------
    path
        The file.
    sop_instance_uid
        As it will be sent.
    rewrite
        Changes the file's bytes before they are sent.
    """

    path: Path
    sop_instance_uid: str
    rewrite: Callable[[bytes], bytes] | None = None

    def content(self) -> bytes:
        """The bytes to send."""
        data = self.path.read_bytes()
        return self.rewrite(data) if self.rewrite else data

    def message(self) -> pb.Slice:
        return pb.Slice(dicom=self.content())


def dicom_slices(paths: Iterable[Path]) -> list[DicomSlice]:
    """The files as slices to send, in the same order."""
    return [DicomSlice(path, _sop_instance_uid(path)) for path in paths]


def _sop_instance_uid(path: Path) -> str:
    try:
        return peek_uids(path.read_bytes()).sop
    except SliceRefusedError:
        return ""
