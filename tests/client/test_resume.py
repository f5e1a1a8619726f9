"""A scan whose daemon is killed again and again."""

from __future__ import annotations

import json
import random
import socket
import subprocess
import sys
from pathlib import Path

from appliance.client import Interrupted, OutgoingScan, ScanClient, dicom_slices
from appliance.ingest import find_series
from breathhold.v1 import scan_pb2 as pb
from breathhold.v1 import types_pb2
from tests.forked import ForkedBox
from tests.made_series import write_series
from tests.tiny_models import write_tiny_repository

COUNT = 40
KILLED_AT = (6, 17, 29)


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


def without_timing(report: types_pb2.Report) -> bytes:
    final = types_pb2.Report()
    final.CopyFrom(report)
    final.ClearField("timing")
    return final.SerializeToString(deterministic=True)


def box(folder: Path, repository: Path, address: str) -> ForkedBox:
    return ForkedBox(folder, repository, "", "--listen", address)


def sent_undisturbed(state: Path, repository: Path, scan: OutgoingScan) -> types_pb2.Report:
    with ForkedBox(state, repository) as daemon, ScanClient(daemon.grpc) as client:
        *_, report = client.send(scan)
    assert isinstance(report, types_pb2.Report)
    return report


def test_the_command_goes_on_where_a_killed_daemon_stopped(tmp_path: Path) -> None:
    repository = write_tiny_repository(tmp_path / "repository")
    series, address = write_series(tmp_path / "series", COUNT), free_address()
    words = [sys.executable, "-m", "appliance.cli", "send", str(series), "--to", address]
    with box(tmp_path, repository, address) as daemon:
        sending = subprocess.Popen(
            [*words, "--json", "--rate", "20"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert sending.stdout is not None
        for _ in range(12):
            sending.stdout.readline()
        daemon.kill()
    with box(tmp_path, repository, address):
        out, err = sending.communicate(timeout=60)
    lines = [json.loads(line) for line in out.splitlines()]
    assert (sending.returncode, err) == (0, b"")
    assert "interrupted" in [line["event"] for line in lines]
    reopened = next(line for line in lines if line["event"] == "opened")
    assert 0 < reopened["slices_kept"] < COUNT
    assert lines[-1]["slices"] == COUNT


def test_killed_three_times_the_report_is_the_same(tmp_path: Path) -> None:
    repository = write_tiny_repository(tmp_path / "repository")
    (series,) = find_series(write_series(tmp_path / "series", COUNT)).series
    slices = dicom_slices(series.files)
    opening = pb.OpenScan(
        series_instance_uid=series.series_uid, station="CT1", expected_slices=COUNT
    )
    expected = sent_undisturbed(tmp_path / "a", repository, OutgoingScan(opening, slices))

    mixer = random.Random(5)
    mixed = mixer.sample(slices + slices[:4], len(slices) + 4)
    address, kills, carried, killed = free_address(), list(KILLED_AT), 0, False
    daemon = box(tmp_path / "b", repository, address).__enter__()
    try:
        with ScanClient(address) as client:
            for event in client.send(OutgoingScan(opening, mixed, rate=40)):
                if isinstance(event, pb.Ack):
                    carried += 1
                if isinstance(event, Interrupted) and killed:
                    killed = False
                    daemon = box(tmp_path / "b", repository, address).__enter__()
                if kills and carried >= kills[0]:
                    kills.pop(0)
                    daemon.kill()
                    killed = True
            assert isinstance(event, types_pb2.Report)
    finally:
        daemon.kill()
    assert not kills
    assert carried < len(mixed) + 12
    assert without_timing(event) == without_timing(expected)
