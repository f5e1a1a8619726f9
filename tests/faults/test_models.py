"""Models that are changed while scans go on: slow to load, not kept, killed in between."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import grpc
import pytest

from appliance.client import ClientError, ScanClient
from breathhold.v1 import model_pb2, model_pb2_grpc
from breathhold.v1 import scan_pb2 as pb
from tests.box import Call, send_scan
from tests.faults.lives import Life
from tests.made_scans import raw_slices
from tests.tiny_models import add_lesion_version, write_tiny_repository

LOAD_S = 4.0


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_tiny_repository(tmp_path_factory.mktemp("models"))
    add_lesion_version(folder, 2, -480.0)
    return folder


def opening(series: str) -> pb.OpenScan:
    return pb.OpenScan(series_instance_uid=series, station="CT1")


def version_of(target: str) -> int:
    with ScanClient(target) as client:
        return {one.role: one.reference.version for one in client.models()}["lesion"]


def used(target: str, version: int) -> str:
    """Why a version could not be used; empty when it could."""
    with ScanClient(target) as client:
        try:
            client.use_model("lesion", version)
        except ClientError as error:
            return error.reason or error.code.name
    return ""


def begun_change(target: str) -> threading.Thread:
    """A change to version 2 that is under way: another is refused, even to what serves."""

    def change() -> None:
        while used(target, 2) == "MODELS_CHANGING":
            pass

    changing = threading.Thread(target=change)
    changing.start()
    until = time.monotonic() + 30
    while used(target, 1) != "MODELS_CHANGING":
        assert time.monotonic() < until
    return changing


def await_version(target: str, version: int) -> None:
    until = time.monotonic() + 60
    while version_of(target) != version:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_slices_are_kept_and_inferred_while_a_version_loads(models: Path, tmp_path: Path) -> None:
    with Life(tmp_path, models, f"models.load=sleep:{LOAD_S}") as life:
        changing = begun_change(life.grpc)
        begun = time.monotonic()
        report = send_scan(life.grpc, opening("1.2.3"), raw_slices(30)).final_report
        took_s = time.monotonic() - begun
        assert changing.is_alive(), f"a scan took {took_s:.1f} s"
        assert report.models["lesion"].version == 1
        assert report.slices == 30
        changing.join()
        assert version_of(life.grpc) == 2


def test_a_change_outlives_the_caller_that_asked_for_it(models: Path, tmp_path: Path) -> None:
    with Life(tmp_path, models, "models.load=sleep:1") as life:
        with grpc.insecure_channel(life.grpc) as channel:
            stub = model_pb2_grpc.ModelServiceStub(channel)
            with pytest.raises(grpc.RpcError, match="DEADLINE_EXCEEDED"):
                stub.UseModel(model_pb2.UseModelRequest(name="lesion", version=2), timeout=0.5)
        await_version(life.grpc, 2)
        trail = (tmp_path / "audit" / "audit.jsonl").read_text()
    assert "lesion: version 2 serves new scans in place of version 1" in trail


def test_a_choice_that_cannot_be_kept_does_not_serve(models: Path, tmp_path: Path) -> None:
    with Life(tmp_path, models, "models.keep=ENOSPC@1") as life:
        assert used(life.grpc, 2) == "CHOICE_NOT_KEPT"
        assert version_of(life.grpc) == 1
        assert send_scan(life.grpc, opening("1.2.3"), raw_slices(12, 20.0)).report is not None
        assert used(life.grpc, 2) == ""
        assert version_of(life.grpc) == 2


@pytest.mark.parametrize(("place", "after"), [("models.keep", 1), ("models.kept", 2)])
def test_a_kill_in_the_middle_of_a_change_leaves_the_one_or_the_other(
    models: Path, tmp_path: Path, place: str, after: int
) -> None:
    slices = raw_slices(30)
    with Life(tmp_path, models, f"{place}=kill") as life:
        call = Call(life.grpc, opening("1.2.3"))
        call.send_slices(slices[:15])
        call.wait_for_answers(15)
        assert used(life.grpc, 2) == "UNAVAILABLE"
        assert life.kill() == -9
        call.result()
    with Life(tmp_path, models) as life:
        assert version_of(life.grpc) == after
        report = send_scan(life.grpc, opening("1.2.3"), slices).final_report
        assert report.models["lesion"].version == 1
        assert not [one for one in report.warnings if one.reason == "MODELS_REPLACED"]


def test_a_stop_while_a_version_loads_leaves_what_served(models: Path, tmp_path: Path) -> None:
    with Life(tmp_path, models, "models.load=sleep:2") as life:
        changing = begun_change(life.grpc)
        assert life.stop() == 0
        changing.join(30)
    with Life(tmp_path, models) as life:
        assert version_of(life.grpc) == 1


def test_what_a_caller_writes_of_models_does_not_count(models: Path, tmp_path: Path) -> None:
    """Else a console could choose its version, or have the daemon look for files."""
    claimed = opening("1.2.3")
    claimed.models.add(name="../lesion", version=2)
    with Life(tmp_path, models) as life:
        call = Call(life.grpc, claimed)
        call.send_slices(raw_slices(30)[:15])
        call.wait_for_answers(15)
        life.kill()
        call.result()
    with Life(tmp_path, models) as life:
        report = send_scan(life.grpc, claimed, raw_slices(30)).final_report
        log = life.log_text()
    assert report.models["lesion"].version == 1
    assert "goes on with other models" not in log
