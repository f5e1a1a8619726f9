"""A restart with a hundred scans in the spool."""

from __future__ import annotations

import time
from pathlib import Path

from appliance.ingest import peek_uids
from appliance.live.scans import scan_id_of
from appliance.storage.record import Record, RecordKind
from appliance.storage.spool import Spool
from calibration.phantom import Section
from tests.box import Box
from tests.soak.console import Console
from tests.soak.figures import Choice, Figure, Found
from tests.soak.made import Template
from tests.soak.watching import most_resident

_SLICES, _MOST_S = 60, 10.0


def restart(choice: Choice) -> Found:
    """Half of the scans were ended and wait for their report, half were in progress."""
    template = Template(choice.folder, Section.THICK, _SLICES)
    with choice.room() as room:
        megabytes = _fill(room / "state", template, choice.scans)
        started = time.monotonic()
        with Box(room) as box:
            ready_s = time.monotonic() - started
            number = choice.scans
            console = Console(template.opening(number), template.slices(number), None)
            sent = console.send(box.grpc)
            most = most_resident(box.process.pid)
    figures = [
        Figure("in the spool", megabytes, "MB"),
        Figure("from start to SERVING", ready_s, "s", _MOST_S),
        Figure("most resident", most / 1e6, "MB"),
    ]
    if sent.last_to_report_s is not None:
        figures.append(Figure("last slice to report of a new scan", sent.last_to_report_s, "s"))
    return Found(figures, sent.faults)


def _fill(state: Path, template: Template, scans: int) -> float:
    """Keep so many scans as the daemon does; returns what they take, MB."""
    with Spool(state) as spool:
        for number in range(scans):
            opening = template.opening(number)
            records = [Record(RecordKind.OPEN, "", opening.SerializeToString())]
            records += [
                Record(RecordKind.SLICE, peek_uids(item.dicom).sop, item.SerializeToString())
                for item in template.slices(number)
            ]
            if number % 2 == 0:
                records.append(Record(RecordKind.END, "end", b""))
            scan_id = scan_id_of(opening.series_instance_uid)
            for future in [spool.submit(scan_id, record) for record in records]:
                future.result(60)
        return spool.bytes_used() / 1e6
