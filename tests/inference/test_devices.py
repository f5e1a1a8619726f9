"""Which devices are chosen to infer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from appliance.config import EngineConfig
from appliance.inference.devices import choose_devices, choose_fallback
from engines import timing
from engines.choice import choice_of
from engines.folder import ENVIRONMENT
from engines.models import ModelError, load_repository
from engines.runtimes import RUNTIMES, DeviceLostError, RuntimeUnavailableError
from tests.bench_runtime import BenchRuntime
from tests.gated_models import with_int8
from tests.tiny_models import write_tiny_repository


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_repository(tmp_path_factory.mktemp("repository"))


@pytest.fixture(autouse=True)
def bench(monkeypatch: pytest.MonkeyPatch) -> BenchRuntime:
    """Two equal devices and one of another kind."""
    runtime = BenchRuntime(a="large", b="large", c="small")
    monkeypatch.setitem(RUNTIMES, "bench", runtime)
    return runtime


def chosen(**engine: Any) -> list[str]:
    return [device.name for device in choose_devices(EngineConfig(**engine))]


def test_on_the_cpu_there_is_one() -> None:
    assert chosen(runtime="openvino") == ["cpu"]


def test_by_itself_it_takes_those_like_the_first() -> None:
    assert chosen(runtime="bench") == ["a", "b"]


def test_those_that_are_named_are_taken() -> None:
    assert chosen(runtime="bench", devices=("c",)) == ["c"]
    assert chosen(runtime="bench", devices=("b", "a", "b")) == ["b", "a"]


def test_those_that_differ_do_not_work_together() -> None:
    with pytest.raises(RuntimeUnavailableError, match="a is large; c is small"):
        chosen(runtime="bench", devices=("a", "c"))


@pytest.mark.parametrize("names", [("a", "d"), ("d", "e")])
def test_one_that_is_not_there_is_as_one_that_is_lost(names: tuple[str, str]) -> None:
    devices = choose_devices(EngineConfig(runtime="bench", devices=names))
    assert tuple(device.name for device in devices) == names
    with pytest.raises(DeviceLostError, match="names d, which is not there; there are a, b, c"):
        next(device for device in devices if device.name == "d").load([])


@pytest.mark.parametrize(("runtime", "fallback"), [("bench", "cpu"), ("openvino", None)])
def test_the_cpu_takes_over_unless_it_worked_before(
    repository: Path, runtime: str, fallback: str | None
) -> None:
    specs = load_repository(repository)
    engine = EngineConfig(runtime=runtime, precision="fp32")
    other = choose_fallback(engine, specs, choose_devices(engine))
    assert (other and other.name) == fallback
    if other:
        engines = other.load(specs).engines
        assert {engine.runtime for engine in engines.values()} == {"openvino"}
        assert {engine.artefact.precision for engine in engines.values()} == {"fp32"}


def test_the_cpu_takes_over_where_it_is_named_and_the_runtime_does_not_know_it(
    repository: Path,
) -> None:
    specs = load_repository(repository)
    engine = EngineConfig(runtime="bench", devices=("a", "cpu"))
    assert choose_fallback(engine, specs, choose_devices(engine))


def test_what_cannot_take_over_is_said_at_once(
    repository: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    specs = load_repository(repository)
    engine = EngineConfig(runtime="bench")
    monkeypatch.setattr(RUNTIMES["openvino"], "unavailable", lambda: "it is not installed")
    assert choose_fallback(engine, specs, choose_devices(engine)) is None
    assert "nothing takes over when every device is lost: openvino" in caplog.text


def test_equal_devices_run_what_the_first_of_them_chose(
    bench: BenchRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where nothing can be kept, and the second by itself would choose otherwise."""
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "engines"))
    monkeypatch.setattr(timing, "_WARM_S", 0.0)
    monkeypatch.setattr(timing, "_ENOUGH_S", 0.0)
    specs = load_repository(with_int8(write_tiny_repository(tmp_path / "models")).parent)
    bench.time_precisions("int8", "fp32")
    bench.devices["a"].slower = {"fp32": 0.02}
    bench.devices["b"].slower = {"int8": 0.02}
    first, second = choose_devices(EngineConfig(runtime="bench"))
    chosen = first.load(specs).engines
    for kept in (tmp_path / "engines").iterdir():
        kept.unlink()
    after = second.load(specs).engines
    assert chosen["lung"].artefact.precision == "int8"
    assert {name: choice_of(engine) for name, engine in after.items()} == {
        name: choice_of(engine) for name, engine in chosen.items()
    }
    assert bench.devices["b"].loaded == ["lesion fp32", "lung int8"]


@pytest.mark.parametrize("names", ["auto", ("gpu0", "gpu1")])
def test_a_runtime_without_its_device_is_one_that_is_lost(
    names: str | tuple[str, ...], bench: BenchRuntime, repository: Path
) -> None:
    bench.there = False
    specs = load_repository(repository)
    engine = EngineConfig(runtime="bench", devices=names)
    devices = choose_devices(engine)
    assert [device.name for device in devices] == (["bench"] if names == "auto" else list(names))
    for device in devices:
        with pytest.raises(DeviceLostError, match="bench: the device is not there"):
            device.load(specs)
    fallback = choose_fallback(engine, specs, devices)
    assert fallback is not None
    assert fallback.name == "cpu"


def test_a_runtime_that_is_not_installed_is_refused(
    bench: BenchRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.there = False
    monkeypatch.setattr(bench, "missing", lambda: "the package bench is not installed")
    with pytest.raises(RuntimeUnavailableError, match="bench: "):
        chosen(runtime="bench")


def test_fp16_on_the_cpu_is_refused_by_name(repository: Path) -> None:
    specs = load_repository(repository)
    (device,) = choose_devices(EngineConfig(runtime="openvino", precision="fp16"))
    with pytest.raises(ModelError, match="openvino cannot execute fp16, only int8 or fp32"):
        device.load(specs)


def test_the_cpu_takes_over_from_fp16_in_its_own_precision(repository: Path) -> None:
    specs = load_repository(repository)
    engine = EngineConfig(runtime="bench", precision="fp16")
    fallback = choose_fallback(engine, specs, choose_devices(engine))
    assert fallback is not None
    assert {one.artefact.precision for one in fallback.load(specs).engines.values()} == {"fp32"}


def test_by_itself_it_tells_of_a_runtime_whose_device_is_not_there(
    bench: BenchRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    bench.there, bench.by_name_only = False, False
    chosen(runtime="openvino")
    assert "bench" not in caplog.text
    assert chosen()
    assert "bench is installed and cannot run: the device is not there" in caplog.text
