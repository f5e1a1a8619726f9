"""Which devices are chosen to infer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from appliance.config import EngineConfig
from appliance.inference.devices import choose_devices, choose_fallback
from engines.models import load_repository
from engines.runtimes import RUNTIMES, DeviceLostError, RuntimeUnavailableError
from tests.bench_runtime import BenchRuntime
from tests.tiny_models import write_tiny_repository


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_repository(tmp_path_factory.mktemp("repository"))


@pytest.fixture(autouse=True)
def bench(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two equal devices and one of another kind."""
    runtime = BenchRuntime(a="large", b="large", c="small")
    monkeypatch.setitem(RUNTIMES, "bench", runtime)


def chosen(**engine: Any) -> list[str]:
    return [device.name for device in choose_devices(EngineConfig(**engine), [])]


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
    devices = choose_devices(EngineConfig(runtime="bench", devices=names), [])
    assert tuple(device.name for device in devices) == names
    with pytest.raises(DeviceLostError, match="names d, which is not there; there are a, b, c"):
        next(device for device in devices if device.name == "d").load()


@pytest.mark.parametrize(("runtime", "fallback"), [("bench", "cpu"), ("openvino", None)])
def test_the_cpu_takes_over_unless_it_worked_before(
    repository: Path, runtime: str, fallback: str | None
) -> None:
    specs = load_repository(repository)
    engine = EngineConfig(runtime=runtime, precision="fp32")
    other = choose_fallback(engine, specs, choose_devices(engine, specs))
    assert (other and other.name) == fallback
    if other:
        engines = other.load().engines
        assert {engine.runtime for engine in engines.values()} == {"openvino"}
        assert {engine.artefact.precision for engine in engines.values()} == {"fp32"}


def test_the_cpu_takes_over_where_it_is_named_and_the_runtime_does_not_know_it(
    repository: Path,
) -> None:
    specs = load_repository(repository)
    engine = EngineConfig(runtime="bench", devices=("a", "cpu"))
    assert choose_fallback(engine, specs, choose_devices(engine, specs))


def test_what_cannot_take_over_is_said_at_once(
    repository: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    specs = load_repository(repository)
    engine = EngineConfig(runtime="bench")
    monkeypatch.setattr(RUNTIMES["openvino"], "unavailable", lambda: "it is not installed")
    assert choose_fallback(engine, specs, choose_devices(engine, specs)) is None
    assert "nothing takes over when every device is lost: openvino" in caplog.text
