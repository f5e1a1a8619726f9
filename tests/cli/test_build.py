"""``breathhold build`` with TensorRT-RTX, for GPUs that are not here."""

from __future__ import annotations

import hashlib
import importlib.util
import signal
import subprocess
import sys
import time
from pathlib import Path

import onnx
import pytest

from engines import timing
from engines.runtimes import RUNTIMES
from engines.runtimes.tensorrt import flavours, plans
from engines.runtimes.tensorrt.driver import Gpu, gpus
from tests import gated_models
from tests.bench_runtime import BenchRuntime
from tests.cli.command import Command
from tests.tiny_models import write_tiny_repository


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return write_tiny_repository(tmp_path / "models")


@pytest.fixture
def options(models: Path, tmp_path: Path) -> list[object]:
    return [
        "--runtime", "tensorrt-rtx", "--models", models, "--target", "sm_89",
        "--cache", tmp_path / "engines",
    ]  # fmt: skip


def with_int8(models: Path) -> None:
    """The lung model once more as int8 that no gate has judged."""
    content = (models / "lung" / "1" / "model.onnx").read_bytes() + b"\x12\x00"
    (models / "lung" / "1" / "int8.onnx").write_bytes(content)
    with (models / "lung" / "spec.toml").open("a") as file:
        file.write(
            '[[artefact]]\nprecision = "int8"\ndialect = "tensorrt"\nfile = "1/int8.onnx"\n'
            f'sha256 = "{hashlib.sha256(content).hexdigest()}"\n'
        )


def test_every_model_is_built_once(command: Command, options: list[object], tmp_path: Path) -> None:
    ran = command("build", *options, "--json")
    assert ran.code == 0, ran.err
    plans = {(plan["model"], plan["precision"]): plan for plan in ran.event("plan")}
    assert set(plans) == {("lesion", "fp16"), ("lung", "fp16")}
    for plan in plans.values():
        assert (plan["target"], plan["runtime"], plan["built"]) == ("sm_89", "tensorrt-rtx", True)
        assert Path(plan["plan"]).parent == tmp_path / "engines"
        assert Path(plan["plan"]).stat().st_size == plan["bytes"]
        assert plan["batches"] == [1, 8]
    assert "lung fp16 with tensorrt-rtx" in ran.err
    assert "for sm_89: built in" in ran.err
    again = command("build", *options)
    assert again.out.splitlines() == [plan["plan"] for plan in ran.event("plan")]
    assert again.err.count("there already") == 2


def test_an_ungated_int8_is_refused_by_name_and_fp16_takes_its_place(
    command: Command, options: list[object], models: Path
) -> None:
    with_int8(models)
    ran = command("build", "lung", *options, "--precision", "int8", "--json")
    assert ran.code == 1
    assert "int8 has not been through the gate" in ran.err
    assert [(line["event"], line["model"]) for line in ran.lines] == [("failed", "lung")]
    ran = command("build", "lung", *options, "--json")
    assert [plan["precision"] for plan in ran.event("plan")] == ["fp16"]


def test_a_model_without_the_precision_does_not_stop_the_others(
    command: Command, options: list[object]
) -> None:
    ran = command("build", *options, "--precision", "fp16", "--precision", "int8", "--json")
    assert ran.code == 1
    assert "lesion: no int8 artefact for tensorrt" in ran.err
    assert [(line["event"], line["model"], line["precision"]) for line in ran.lines] == [
        ("plan", "lesion", "fp16"),
        ("failed", "lesion", "int8"),
        ("plan", "lung", "fp16"),
        ("failed", "lung", "int8"),
    ]


def test_a_model_that_fails_does_not_stop_the_others(
    command: Command, options: list[object], models: Path
) -> None:
    path = models / "lesion" / "1" / "model.onnx"
    old = hashlib.sha256(path.read_bytes()).hexdigest()
    network = onnx.load(path)
    network.graph.node[0].op_type, network.graph.node[0].name = "NoSuch", "odd"
    onnx.save(network, path)
    spec = models / "lesion" / "spec.toml"
    new = hashlib.sha256(path.read_bytes()).hexdigest()
    spec.write_text(spec.read_text().replace(old, new))
    ran = command("build", *options, "--precision", "fp32", "--json")
    assert ran.code == 1
    assert "lesion fp32 for sm_89: the parser refuses node odd (NoSuch)" in ran.err
    assert [(line["event"], line["model"]) for line in ran.lines] == [
        ("failed", "lesion"),
        ("plan", "lung"),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nose", "--target", "sm_89"], "no model is called 'nose'; there are lesion, lobes, lung"),
        (["--target", "sm_1"], "cannot build for sm_1; it builds for sm_75"),
    ],
)
def test_what_cannot_be_built_is_said(arguments: list[str], message: str, command: Command) -> None:
    ran = command("build", "--runtime", "tensorrt-rtx", *arguments)
    assert ran.code == 1
    assert message in ran.err


@pytest.mark.skipif(bool(gpus()), reason="there is a GPU here")
@pytest.mark.parametrize("runtime", ["tensorrt", "tensorrt-rtx"])
def test_current_needs_a_gpu(runtime: str, command: Command) -> None:
    ran = command("build", "--runtime", runtime)
    assert ran.code == 1
    assert f"{runtime}: no GPU is here to build for" in ran.err
    assert ("name a target: sm_75" in ran.err) == (runtime == "tensorrt-rtx")


def test_with_nothing_to_build_with_the_commands_are_named(
    command: Command, options: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: None if name.startswith("tensorrt") else find(name),
    )
    ran = command("build", *options[2:])
    assert ran.code == 1
    assert "pip install tensorrt-rtx-cu13-libs tensorrt-rtx-cu13-bindings" in ran.err
    assert "pip install tensorrt-cu13" in ran.err


def test_a_build_that_is_stopped_leaves_the_old_plan(command: Command, tmp_path: Path) -> None:
    options = ["lesion", "--precision", "int8", "--target", "sm_89", "--cache", str(tmp_path)]
    options += ["--runtime", "tensorrt-rtx"]
    assert command("build", *options).code == 0
    (lock,) = tmp_path.glob(".lock")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    lock.unlink()
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from appliance.cli.main import run; run()"
    )
    again = [sys.executable, "-c", program, "build", "--again", *options]
    building = subprocess.Popen(again, stderr=subprocess.PIPE, text=True)
    while not lock.exists():
        assert building.poll() is None
        time.sleep(0.01)
    building.send_signal(signal.SIGINT)
    _, said = building.communicate(timeout=60)
    assert (building.returncode, said.splitlines()[-1]) == (1, "breathhold: Stopped.")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("package", ["onnx", "onnxruntime.transformers.float16"])
def test_what_makes_fp16_is_named_where_it_is_missing(
    package: str, command: Command, options: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "engines.runtimes.tensorrt.halving", raising=False)
    ran = command("build", "lung", *options, "--precision", "fp16")
    assert ran.code == 1
    assert f"the package {package.split('.')[0]}" in ran.err
    assert "pip install 'breathhold[gpu]'" in ran.err
    assert command("build", "lung", *options, "--precision", "fp32").code == 0


@pytest.fixture
def bench(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BenchRuntime:
    """A box with a GPU for which TensorRT-RTX builds; what is timed there runs on the CPU."""
    for module in (flavours, plans):
        monkeypatch.setattr(module, "gpus", lambda: [Gpu("a GPU", "sm_89")])
    monkeypatch.setenv("BREATHHOLD_ENGINES", str(tmp_path / "engines"))
    monkeypatch.setattr(timing, "_WARM_S", 0.0)
    monkeypatch.setattr(timing, "_ENOUGH_S", 0.0)
    gated_models.with_int8(models)
    runtime = BenchRuntime(gpu0="a GPU")
    runtime.time_precisions("int8", "fp32")
    monkeypatch.setitem(RUNTIMES, "tensorrt-rtx", runtime)
    return runtime


def test_on_the_box_what_is_faster_is_timed_once(
    command: Command, models: Path, bench: BenchRuntime, tmp_path: Path
) -> None:
    options = ["lung", "--runtime", "tensorrt-rtx", "--models", models]
    bench.slower = {"fp32": 0.02}
    first = command("build", *options, "--json")
    assert first.code == 0, first.err
    assert [plan["precision"] for plan in first.event("plan")] == ["int8", "fp32"]
    (timed,) = first.event("timed")
    assert (timed["model"], timed["precision"]) == ("lung", "int8")
    assert timed["seconds_per_slab"]["int8"] < timed["seconds_per_slab"]["fp32"]
    assert f"lung serves in int8: {timed['because']}" in first.err
    bench.slower = {"int8": 0.02}
    assert command("build", *options, "--json").event("timed") == [timed], "a restart changes it"
    (anew,) = command("build", *options, "--again", "--json").event("timed")
    assert anew["precision"] == "fp32"
    ahead = command("build", *options, "--cache", tmp_path / "elsewhere", "--json")
    assert ahead.event("timed") == []


def test_what_cannot_be_timed_fails_the_build(
    command: Command, models: Path, bench: BenchRuntime
) -> None:
    bench.refuses.update(("int8", "fp32"))
    ran = command("build", "lung", "--runtime", "tensorrt-rtx", "--models", models, "--json")
    assert ran.code == 1
    assert "lung: nothing serves" in ran.err
    assert [line["event"] for line in ran.lines] == ["plan", "plan", "failed"]


def test_a_plan_that_cannot_be_kept_fails_the_build(
    command: Command, options: list[object], tmp_path: Path
) -> None:
    (tmp_path / "engines").touch()
    ran = command("build", "lung", *options)
    assert ran.code == 1
    assert "cannot be kept" in ran.err
    assert not ran.out
