"""Other versions of the models, put in place while scans go on."""

from __future__ import annotations

import json
import random
import shutil
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.client import ScanClient
from breathhold.v1 import scan_pb2 as pb
from breathhold.v1 import types_pb2
from tests.bench_runtime import Registering
from tests.box import Answers, Box, Call, send_scan
from tests.cli.command import Command
from tests.daemon.test_devices import lost, without_losses
from tests.daemon.test_faults_within import daemon_within
from tests.faults.lives import Life
from tests.made_scans import raw_slices
from tests.tiny_models import add_lesion_version, describe_lesion_version, write_tiny_repository

COUNT = 60


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lesion models that find more and less; the first is described."""
    folder = write_tiny_repository(tmp_path_factory.mktemp("repository"))
    add_lesion_version(folder, 2, -480.0)
    return folder


@pytest.fixture(scope="module")
def box(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with Box(tmp_path_factory.mktemp("box"), repository) as running:
        yield running


@pytest.fixture(scope="module")
def by_version(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, str]:
    """What is told of a scan by a daemon that knows one version only."""
    told = {}
    for version in (1, 2):
        alone = tmp_path_factory.mktemp("alone") / "models"
        shutil.copytree(repository, alone)
        describe_lesion_version(alone, version)
        for path in alone.glob("lesion/*/spec.toml"):
            path.unlink()
        with daemon_within(tmp_path_factory.mktemp("state"), alone) as daemon:
            told[version] = scanned(daemon.grpc, f"1.2.{version}")
    assert told[1] != told[2]
    return told


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


def opening(series: str) -> pb.OpenScan:
    return pb.OpenScan(series_instance_uid=series, station="CT1", send_masks=True)


def slices(series: str) -> list[pb.Slice]:
    return raw_slices(COUNT, series=series)


def told_of(answers: Answers, series: str) -> str:
    """Report and last masks, as they would be of any series."""
    report = answers.final_report
    report.ClearField("scan_id")
    masks = {uid: list(mask.runs) for uid, mask in sorted(answers.masks.items())}
    return f"{report}{masks}".replace(series, "SERIES")


def scanned(target: str, series: str) -> str:
    return told_of(send_scan(target, opening(series), slices(series)), series)


def begun(target: str, series: str) -> Call:
    """A scan with half of its slices, in a drawn order."""
    call = Call(target, opening(series))
    call.send_slices(drawn(series)[: COUNT // 2])
    call.wait_for_answers(COUNT // 2)
    return call


def drawn(series: str) -> list[pb.Slice]:
    found = slices(series)
    random.Random(series).shuffle(found)
    return found


def finished(call: Call, series: str) -> Answers:
    call.send_slices(drawn(series)[COUNT // 2 :])
    call.end()
    return call.result()


def lesion_of(report: types_pb2.Report) -> int:
    return report.models["lesion"].version


def finishing(target: str) -> list[tuple[str, int]]:
    with ScanClient(target) as client:
        served = client.served().finishing
    return [(model.reference.name, model.reference.version) for model in served]


def metrics_of(box: Box) -> str:
    with urllib.request.urlopen(f"http://{box.http}/metrics", timeout=10) as response:
        text: str = response.read().decode()
    return text


def info(name: str, version: int) -> str:
    labels = f'model="lesion",precision="fp32",runtime="openvino",version="{version}"'
    return f"breathhold_engine_{name}{{{labels}}} 1.0"


def test_a_scan_in_progress_stays_on_the_version_it_began_with(
    box: Box, command: Command, by_version: dict[int, str]
) -> None:
    first = begun(box.grpc, "1.3.1")
    ran = command("models", "use", "lesion", 2, "--to", box.grpc)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == (
        "lesion: version 2 serves new scans; scans in progress finish on version 1.\n"
    )
    assert finishing(box.grpc) == [("lesion", 1)]
    assert info("info", 2) in metrics_of(box)
    assert info("finishing_info", 1) in metrics_of(box)

    second = begun(box.grpc, "1.3.2")
    ran = command("models", "rollback", "lesion", "--to", box.grpc, "--json")
    assert ran.lines == [{"model": "lesion", "from_version": 2, "version": 1}]
    third = begun(box.grpc, "1.3.3")
    assert finishing(box.grpc) == [("lesion", 2)]

    found = {
        series: finished(call, series)
        for series, call in (("1.3.2", second), ("1.3.1", first), ("1.3.3", third))
    }
    versions = {series: lesion_of(answers.final_report) for series, answers in found.items()}
    assert versions == {"1.3.1": 1, "1.3.2": 2, "1.3.3": 1}
    for series, version in versions.items():
        assert told_of(found[series], series) == by_version[version]
    await_none_finishing(box.grpc)
    assert "engine_finishing_info{" not in metrics_of(box)


def await_none_finishing(target: str) -> None:
    for _ in range(200):
        if not finishing(target):
            return
    raise AssertionError(finishing(target))


def test_what_serves_is_shown(box: Box, command: Command) -> None:
    assert command("models", "use", "lesion", 1, "--to", box.grpc).code == 0
    ran = command("models", "list", "--to", box.grpc, "--json")
    lesion, lung = ran.lines
    assert (lesion["model"], lesion["version"], lesion["versions"]) == ("lesion", 1, [1, 2])
    assert (lesion["chosen"], lesion["finishing"], lung["chosen"]) == (True, False, False)
    shown = command("models", "list", "--to", box.grpc).out
    assert "chosen by an operator" in shown
    again = command("models", "use", "lesion", 1, "--to", box.grpc)
    assert (again.code, again.out) == (0, "lesion: version 1 served already.\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("use", "lesion", 9), "lesion has no version 9; there are 1, 2"),
        (("use", "liver", 1), "No model is called 'liver'; there are lesion, lung."),
        (("rollback", "lung"), "lung serves in version 1, and there is no earlier one"),
    ],
)
def test_what_there_is_not_is_refused(
    box: Box, command: Command, arguments: tuple[object, ...], said: str
) -> None:
    ran = command("models", *arguments, "--to", box.grpc)
    assert (ran.code, ran.out) == (1, "")
    assert said in ran.err


def cut_short(lesion: Path) -> None:
    path = lesion / "3" / "model.onnx"
    path.write_bytes(path.read_bytes()[:100])


def answers_otherwise(lesion: Path) -> None:
    with (lesion / "3" / "spec.toml").open("a") as file:
        file.write("[warm_up]\nmean = 0.9\nmaximum = 0.95\n")


def sees_another_window(lesion: Path) -> None:
    spec = lesion / "3" / "spec.toml"
    spec.write_text(spec.read_text().replace("-1350.0", "-1000.0"))


def serves_too_little(lesion: Path) -> None:
    spec = lesion / "3" / "spec.toml"
    spec.write_text(spec.read_text().replace('["thin", "medium", "thick"]', '["thin"]'))


def is_no_toml(lesion: Path) -> None:
    (lesion / "3" / "spec.toml").write_text("version = ")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (cut_short, "3/model.onnx: SHA-256 is"),
        (answers_otherwise, "lesion (openvino): the warm-up answer is"),
        (sees_another_window, "all models must share window and size"),
        (serves_too_little, "no lesion model serves medium, thick sections"),
        (is_no_toml, "3/spec.toml: "),
    ],
)
def test_a_version_that_cannot_be_served_leaves_the_others_serving(
    box: Box,
    repository: Path,
    command: Command,
    by_version: dict[int, str],
    spoil: Callable[[Path], None],
    said: str,
) -> None:
    add_lesion_version(repository, 3, -700.0)
    try:
        spoil(repository / "lesion")
        series = f"1.4.{len(said)}"
        call = begun(box.grpc, series)
        ran = command("models", "use", "lesion", 3, "--to", box.grpc)
        assert ran.code == 1
        assert "the models serve on as before" in ran.err
        assert said in ran.err
        assert told_of(finished(call, series), series) == by_version[1]
        assert lesion_of(send_scan(box.grpc, opening(series + ".1"), []).final_report) == 1
        assert finishing(box.grpc) == []
    finally:
        shutil.rmtree(repository / "lesion" / "3")


def test_who_changed_what_is_in_the_trail_and_the_log(box: Box) -> None:
    trail = (box.state / "audit" / "audit.jsonl").read_text().splitlines()
    lines = [json.loads(line) for line in trail]
    changes = [one for one in lines if one.get("EventTypeCode", {}).get("code") == 110131]
    words = "lesion: version 2 serves new scans in place of version 1"
    change = next(one for one in changes if one["EventOutcomeDescription"] == words)
    assert change["Method"] == "/breathhold.v1.ModelService/UseModel"
    assert change["EventOutcomeIndicator"] == 0
    assert "the same models serve" in {one["EventOutcomeDescription"] for one in changes}
    refused = [one for one in changes if one["EventOutcomeIndicator"]]
    assert any("MODELS_REFUSED" in one["EventOutcomeDescription"] for one in refused)
    assert words in box.log_text()


def test_a_kill_between_the_switch_and_the_end_changes_no_report(
    repository: Path, tmp_path: Path, command: Command, by_version: dict[int, str]
) -> None:
    with Life(tmp_path, repository) as box:
        call = begun(box.grpc, "1.5.1")
        assert command("models", "use", "lesion", 2, "--to", box.grpc).code == 0
        box.kill()
        call.result()
    with Life(tmp_path, repository) as box:
        assert scanned(box.grpc, "1.5.2") == by_version[2]
        found = send_scan(box.grpc, opening("1.5.1"), slices("1.5.1"))
        assert found.opened is not None
        assert len(found.opened.kept_sop_instance_uids) == COUNT // 2
        assert told_of(found, "1.5.1") == by_version[1]
        (lesion, _) = command("models", "list", "--to", box.grpc, "--json").lines
        assert (lesion["version"], lesion["chosen"]) == (2, True)
        assert command("models", "rollback", "lesion", "--to", box.grpc).code == 0
        assert scanned(box.grpc, "1.5.3") == by_version[1]


def test_a_scan_whose_version_is_gone_is_inferred_by_another_from_its_first_slice(
    repository: Path, tmp_path: Path, command: Command, by_version: dict[int, str]
) -> None:
    models = shutil.copytree(repository, tmp_path / "models")
    with Life(tmp_path / "box", models) as box:
        assert command("models", "use", "lesion", 2, "--to", box.grpc).code == 0
        call = begun(box.grpc, "1.6.1")
        box.kill()
        call.result()
    shutil.rmtree(models / "lesion" / "2")
    with Life(tmp_path / "box", models) as box:
        answers = send_scan(box.grpc, opening("1.6.1"), slices("1.6.1"))
        log = box.log_text()
    report = answers.final_report
    (warning,) = [one for one in report.warnings if one.reason == "MODELS_REPLACED"]
    assert warning.message == (
        "The scan began with the models lesion 2, lung 1, which can no longer be served; all of "
        "it was inferred with lesion 1, lung 1."
    )
    assert warning in answers.warnings
    assert answers.report is not None
    answers.report.warnings.remove(warning)
    assert told_of(answers, "1.6.1") == by_version[1]
    assert "an operator chose version 2, but lesion has no version 2; there are 1: 1 serves" in log


def test_after_a_training_the_daemon_takes_what_the_repository_describes(
    repository: Path, tmp_path: Path, command: Command, by_version: dict[int, str]
) -> None:
    models = shutil.copytree(repository, tmp_path / "models")
    with daemon_within(tmp_path / "state", models) as daemon:
        to = ("--to", daemon.grpc)
        assert command("models", "use", "lesion", 1, *to).code == 0
        describe_lesion_version(models, 2)
        assert scanned(daemon.grpc, "1.7.1") == by_version[1]
        ran = command("models", "reload", *to)
        assert "lesion: version 2 serves new scans" in ran.out
        assert scanned(daemon.grpc, "1.7.2") == by_version[2]
        again = command("models", "reload", *to).out
        assert again == "The repository describes what serves already.\n"
        spec = models / "lesion" / "spec.toml"
        spec.write_text(spec.read_text().replace("threshold = 0.5", "threshold = 0.75"))
        assert command("models", "reload", *to).out == (
            "lesion: version 2 serves new scans as its folder is now; scans in progress finish as "
            "they began.\n"
        )
    describe_lesion_version(models, 1)
    with daemon_within(tmp_path / "state", models) as daemon:
        assert scanned(daemon.grpc, "1.7.3") == by_version[1]


def test_all_devices_switch_together_and_what_takes_over_finishes_on_the_old_version(
    repository: Path, tmp_path: Path, bench: Registering, command: Command
) -> None:
    with daemon_within(tmp_path / "alone", repository) as daemon:
        undisturbed = scanned(daemon.grpc, "1.8.0")
    runtime = bench(a="x", b="x")
    with daemon_within(tmp_path / "state", repository, runtime="bench") as daemon:
        call = begun(daemon.grpc, "1.8.1")
        assert command("models", "use", "lesion", 2, "--to", daemon.grpc).code == 0
        for device in runtime.devices.values():
            assert device.loaded.count("lesion fp32") == 2
            device.fails_from = 1
        runtime.arm()
        answers = finished(call, "1.8.1")
        assert len(lost(answers.final_report)) == 2
        assert lesion_of(answers.final_report) == 1
        assert answers.report is not None
        without_losses(answers.report)
        assert told_of(answers, "1.8.1") == undisturbed
        after = send_scan(daemon.grpc, opening("1.8.2"), slices("1.8.2"))
        assert lesion_of(after.final_report) == 2
