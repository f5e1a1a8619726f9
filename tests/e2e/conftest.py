"""The shipped models in a running daemon, and phantoms to send to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.client import OutgoingScan, dicom_slices
from appliance.ingest import peek_uids
from breathhold.v1 import scan_pb2 as pb
from calibration.phantom import Phantom, make_phantom, write_dicom_series
from tests.box import Box


@pytest.fixture(scope="session")
def shipped_box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with Box(tmp_path_factory.mktemp("shipped")) as running:
        yield running


@pytest.fixture(scope="session")
def chest() -> Phantom:
    return make_phantom(7, section="thick", slices=60)


@pytest.fixture(scope="session")
def chest_series(chest: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chest")
    write_dicom_series(chest, folder)
    return folder


Outgoing = Callable[..., OutgoingScan]


@pytest.fixture(scope="session")
def outgoing() -> Outgoing:
    """A folder of DICOM as a scan to send; fields go to OpenScan."""

    def make(folder: Path, rate: float | None = None, **fields: object) -> OutgoingScan:
        files = sorted(folder.glob("*.dcm"))
        uids = peek_uids(files[0].read_bytes())
        opening = pb.OpenScan(
            study_instance_uid=uids.study,
            series_instance_uid=uids.series,
            station="CT1",
            **fields,  # type: ignore[arg-type]
        )
        return OutgoingScan(opening, dicom_slices(files), rate)

    return make
