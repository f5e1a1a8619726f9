"""A decoder that dies or hangs in a running daemon: one slice is refused, nothing else happens."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.failpoints import VARIABLE
from appliance.ingest import peek_uids
from breathhold.v1 import scan_pb2 as pb
from calibration.phantom import make_phantom, write_dicom_series
from tests.box import Box, send_scan


@pytest.fixture(scope="module")
def slices(tmp_path_factory: pytest.TempPathFactory) -> list[pb.Slice]:
    folder = tmp_path_factory.mktemp("phantom")
    write_dicom_series(make_phantom(3, section="thick", slices=14), folder)
    return [
        pb.Slice(sequence=number, dicom=path.read_bytes())
        for number, path in enumerate(sorted(folder.glob("*.dcm")), start=1)
    ]


def test_a_decoder_that_dies_costs_one_slice(
    repository: Path, tmp_path: Path, slices: list[pb.Slice], monkeypatch: pytest.MonkeyPatch
) -> None:
    uids = peek_uids(slices[0].dicom)
    opening = pb.OpenScan(series_instance_uid=uids.series, station="CT1")
    with Box(tmp_path / "undisturbed", repository) as box:
        undisturbed = send_scan(box.grpc, opening, slices)
    monkeypatch.setenv(VARIABLE, "decoder=kill@5")
    toml = "[server]\nreaders = 1\n"
    with Box(tmp_path / "dying", repository, toml) as box:
        pid = box.process.pid
        first = send_scan(box.grpc, opening, [*slices, *slices[:6]])
        assert box.process.poll() is None
        assert box.process.pid == pid
    told = {refused.refusal.reason for refused in first.refused}
    assert told == {"UNDECODABLE"}
    assert len(first.acks) + len(first.refused) == 20
    assert len(first.refused) == 4
    assert first.report is not None
    assert first.final_report.scores.lung_ml > 0
    assert undisturbed.final_report.slices == 14
