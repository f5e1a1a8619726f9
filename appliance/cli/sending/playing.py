"""Series played to an appliance, from the folder to the report."""

from __future__ import annotations

import random
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from appliance.cli.connection import connect
from appliance.cli.errors import CliError
from appliance.cli.masks.pictures import Pictures, write_pictures
from appliance.cli.sending.choosing import choose_series
from appliance.cli.sending.display import display
from appliance.cli.sending.fresh import FreshUids
from appliance.cli.showing.output import console, print_json
from appliance.cli.showing.records import report_record
from appliance.cli.showing.tables import report_view
from appliance.client import ClientError, DicomSlice, OutgoingScan, ScanClient, dicom_slices
from appliance.ingest import Series
from breathhold.v1 import scan_pb2 as pb
from breathhold.v1 import types_pb2

Truth = tuple[float | None, float | None]


@dataclass(frozen=True, slots=True)
class Playing:
    """How scans are played.

    Parameters
    ----------
    to
        HOST:PORT of the appliance.
    rate
        Slices a second; None as fast as they are accepted.
    priority
        "routine", "urgent" or "emergency".
    station
        Who is calling; None for this machine's name.
    masks
        Folder for masks and overlays.
    json
        Print JSON lines.
    fresh
        Send under new UIDs.
    shuffle
        Seed of the order; None as the files lie in the patient.
    expected
        Announce the number of slices.
    patience_s
        How long to try to reach the appliance again, s.
    truth
        True PO and PHO, shown beside the measured ones.
    """

    to: str
    rate: float | None = None
    priority: str = "routine"
    station: str | None = None
    masks: Path | None = None
    json: bool = False
    fresh: bool = False
    shuffle: int | None = None
    expected: bool = True
    patience_s: float = 60.0
    truth: Truth | None = None


def play(
    path: Path, playing: Playing, *, series_uid: str | None = None, every: bool = False
) -> None:
    """Send the series of a folder, one after the other.

    Raises
    ------
    CliError
        When there is nothing to send, or some of several series were refused.
    ClientError
        When the appliance cannot be reached or refuses the scan.
    """
    chosen = choose_series(path, series_uid, every=every)
    with connect(playing.to) as client:
        if len(chosen) == 1:
            _play_one(client, chosen[0], playing)
        else:
            _play_each(client, chosen, playing)


def _play_each(client: ScanClient, chosen: Sequence[Series], playing: Playing) -> None:
    """Several series, each with a masks folder of its own; a refused one is said and passed."""
    refused = 0
    for number, series in enumerate(chosen, start=1):
        folder = playing.masks and playing.masks / f"series-{number}"
        try:
            _play_one(client, series, replace(playing, masks=folder))
        except ClientError as error:
            if error.passing:
                raise
            refused += 1
            print(f"Series {number}: {error}", file=sys.stderr)
    if refused:
        raise CliError(f"{refused} of {len(chosen)} series were not taken.")


def _play_one(client: ScanClient, series: Series, playing: Playing) -> None:
    slices = dicom_slices(series.files)
    fresh = FreshUids() if playing.fresh else None
    if fresh:
        slices = [
            DicomSlice(one.path, fresh.uid(one.sop_instance_uid), fresh.rewrite) for one in slices
        ]
    scan = OutgoingScan(_open_request(series, slices, playing, fresh), _ordered(slices, playing))
    scan = replace(scan, rate=playing.rate)
    report = _send(client, scan, playing)
    written = None
    if playing.masks is not None:
        paths = {one.sop_instance_uid: one.path for one in slices}
        written = write_pictures(client, report.scan_id, paths, playing.masks)
    show_report(report, json=playing.json, truth=playing.truth, written=written)


def _open_request(
    series: Series, slices: Sequence[DicomSlice], playing: Playing, fresh: FreshUids | None
) -> pb.OpenScan:
    def uid(old: str) -> str:
        return fresh.uid(old) if fresh else old

    return pb.OpenScan(
        study_instance_uid=uid(series.study_uid),
        series_instance_uid=uid(series.series_uid),
        station=playing.station or socket.gethostname(),
        priority=types_pb2.Priority.Value(f"PRIORITY_{playing.priority.upper()}"),
        expected_slices=len({one.sop_instance_uid for one in slices}) if playing.expected else None,
    )


def _ordered(slices: list[DicomSlice], playing: Playing) -> list[DicomSlice]:
    if playing.shuffle is None:
        return slices
    return random.Random(playing.shuffle).sample(slices, len(slices))


def _send(client: ScanClient, scan: OutgoingScan, playing: Playing) -> types_pb2.Report:
    report = types_pb2.Report()
    with display(len(scan.slices), json=playing.json) as shown:
        for event in client.send(scan, patience_s=playing.patience_s):
            if isinstance(event, types_pb2.Report):
                report = event
            else:
                shown.show(event)
    return report


def show_report(
    report: types_pb2.Report,
    *,
    json: bool,
    truth: Truth | None = None,
    written: Pictures | None = None,
) -> None:
    """Print a final report, with what was written to files."""
    if json:
        record = report_record(report)
        if truth is not None:
            record["true_po"], record["true_pho"] = truth
        if written:
            record["files"] = [str(path) for path in written.files]
        print_json(record)
        return
    out = console()
    out.print(report_view(report, truth))
    if written:
        out.print(
            f"Wrote {len(written.volumes)} masks and {len(written.overlays)} overlays "
            f"to {written.folder}",
            soft_wrap=True,
        )
