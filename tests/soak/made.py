"""Phantoms as messages of the wire, each scan with UIDs and a patient of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from appliance.ingest import peek_uids
from breathhold.v1 import scan_pb2 as pb
from calibration.phantom import Section, make_phantom, write_dicom_series

_SEED = 7
_PATIENT = f"PHANTOM-{_SEED}".encode()


class Template:
    """A phantom of 512 x 512 as DICOM, of which scans are made by exchanging UIDs.

    Parameters
    ----------
    folder
        Where its files lie, or are put.
    """

    def __init__(self, folder: Path, section: Section, slices: int) -> None:
        series = folder / f"{section}-{slices}"
        if len(list(series.glob("*.dcm"))) != slices:
            write_dicom_series(make_phantom(_SEED, section=section, slices=slices), series)
        self._files = [path.read_bytes() for path in sorted(series.glob("*.dcm"))]
        self._uid = peek_uids(self._files[0]).series

    def opening(self, number: int, **fields: object) -> pb.OpenScan:
        uid, station = self._uid_of(number), f"CT{number}"
        return pb.OpenScan(series_instance_uid=uid, station=station, **fields)  # type: ignore[arg-type]

    def slices(self, number: int) -> Iterator[pb.Slice]:
        """The slices of the scan with this number, which has six digits at most."""
        exchanged = {
            self._uid.encode(): self._uid_of(number).encode(),
            _PATIENT: f"{number:0{len(_PATIENT)}d}".encode(),
        }
        for sequence, file in enumerate(self._files, start=1):
            for before, after in exchanged.items():
                file = file.replace(before, after)
            yield pb.Slice(sequence=sequence, dicom=file)

    def _uid_of(self, number: int) -> str:
        return f"{self._uid[:-6]}{number:06d}"
