"""A site with a model that has hardly learnt anything, and scans of two patients."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
import torch

from appliance.ingest import peek_uids
from breathhold.v1 import scan_pb2 as pb
from calibration.phantom import Phantom, make_phantom, write_dicom_series
from calibration.phantom.labelled import write_labelled
from engines.training.cases import load_case
from engines.training.export import export
from engines.training.loop import Trainer
from engines.training.state import Recipe
from tests import tiny_models
from tests.box import Box, send_scan
from tests.cli.command import Command

SEEDS = (10, 3)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.delenv("BREATHHOLD_TO", raising=False)
    return Command(capsys)


@pytest.fixture(scope="session")
def phantoms() -> list[Phantom]:
    return [
        make_phantom(seed, section="thick", slices=12, matrix=128, lesions=0.2) for seed in SEEDS
    ]


@pytest.fixture(scope="session")
def series(phantoms: list[Phantom], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A folder of DICOM of each phantom, each of a patient of its own."""
    folders = []
    for number, phantom in enumerate(phantoms):
        folder = tmp_path_factory.mktemp("series")
        for path in write_dicom_series(phantom, folder):
            image = pydicom.dcmread(path)
            image.PatientID = f"patient {number}"
            image.save_as(path)
        folders.append(folder)
    return folders


@pytest.fixture(scope="session")
def undertrained(phantoms: list[Phantom], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose lung network was trained for a few steps only."""
    folder = tmp_path_factory.mktemp("undertrained")
    repository, case, run = folder / "models", folder / "start", folder / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny_models, "SIZE", 256)
        tiny_models.write_tiny_repository(repository)
    spec = repository / "lesion" / "spec.toml"
    spec.write_text(spec.read_text().replace("[64, 64]", "[256, 256]"))
    shutil.rmtree(repository / "lung")
    write_labelled(make_phantom(1, section="thick", slices=12, matrix=256, lesions=0.2), case)
    recipe = Recipe("lung", held_out=["nobody"], steps=60, width=4, rate=8e-3)
    Trainer([load_case(case, "start")], recipe, run).train()
    export(run, repository / "lung")
    return repository


@pytest.fixture(scope="session")
def scans(box: Box, series: list[Path]) -> list[str]:
    """Scan ids of the series, sent and reported."""
    ids = []
    for folder in series:
        files = sorted(folder.glob("*.dcm"))
        uids = peek_uids(files[0].read_bytes())
        opening = pb.OpenScan(study_instance_uid=uids.study, series_instance_uid=uids.series)
        slices = [pb.Slice(dicom=path.read_bytes()) for path in files]
        for number, one in enumerate(slices, 1):
            one.sequence = number
        report = send_scan(box.grpc, opening, slices).report
        assert report is not None
        ids.append(report.scan_id)
    return ids


@pytest.fixture(scope="session")
def box(undertrained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with Box(tmp_path_factory.mktemp("box"), undertrained) as running:
        yield running
