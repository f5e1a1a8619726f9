"""Which precision serves: timed where the runtime says so, chosen once, and alike after that."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from engines import timing
from engines.choice import choice_of, foresee, load_engine, time_anew
from engines.folder import ENVIRONMENT
from engines.models import SHIPPED, ModelError, ModelSpec, load_spec
from engines.runtimes import ArtefactRefusedError, DeviceError, choose
from engines.stopping import LoadStoppedError, stoppable
from tests.bench_runtime import BenchDevice, BenchRuntime
from tests.gated_models import EMPTY_FIELD, with_int8
from tests.tiny_models import write_tiny_repository

SLOWER_S = 0.02
INT8_IS_FASTER, FP32_IS_FASTER = {"fp32": SLOWER_S}, {"int8": SLOWER_S}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where timings are kept; timed by as few calls as may be."""
    monkeypatch.setattr(timing, "_WARM_S", 0.0)
    monkeypatch.setattr(timing, "_ENOUGH_S", 0.0)
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "engines"))
    return tmp_path / "engines"


@pytest.fixture
def spec(tmp_path: Path) -> ModelSpec:
    return load_spec(with_int8(write_tiny_repository(tmp_path / "models")))


def device(slower: dict[str, float], kind: str = "a GPU") -> BenchDevice:
    """A device whose runtime wants int8 and fp32 timed; both are OpenVINO's."""
    runtime = BenchRuntime(one=kind)
    runtime.time_precisions("int8", "fp32")
    found = runtime.devices["one"]
    found.slower = slower
    return found


@pytest.mark.parametrize(("slower", "serves"), [(INT8_IS_FASTER, "int8"), (FP32_IS_FASTER, "fp32")])
def test_the_faster_serves_and_a_restart_chooses_alike(
    slower: dict[str, float], serves: str, spec: ModelSpec, caplog: pytest.LogCaptureFixture
) -> None:
    first = device(slower)
    assert foresee(spec, first) is None
    with caplog.at_level(logging.INFO):
        engine = load_engine(spec, first)
    assert engine.artefact.precision == serves
    assert first.loaded == ["lung int8", "lung fp32"]
    seconds = engine.seconds_per_slab
    assert set(seconds) == {"int8", "fp32"}
    assert min(seconds, key=seconds.__getitem__) == serves
    assert max(seconds.values()) > SLOWER_S / 8 > 0
    said = f"lung serves in {serves} on a GPU: "
    said += f"{seconds['int8'] * 1e3:.3g} ms a slab in int8, {seconds['fp32'] * 1e3:.3g} ms"
    assert said in caplog.text
    otherwise = device(FP32_IS_FASTER if serves == "int8" else INT8_IS_FASTER)
    again = load_engine(spec, otherwise)
    assert otherwise.loaded == [f"lung {serves}"], "what was timed is not timed again"
    assert choice_of(again) == choice_of(engine) == foresee(spec, otherwise)


def test_int8_that_is_as_fast_does_not_serve(
    spec: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engines.trial.time_executables", lambda *_: {"int8": 1.0, "fp32": 1.0})
    assert load_engine(spec, device({})).artefact.precision == "fp32"


def test_what_was_timed_holds_for_that_device_and_those_files(
    spec: ModelSpec, folder: Path
) -> None:
    load_engine(spec, device(INT8_IS_FASTER))
    assert load_engine(spec, device(FP32_IS_FASTER, "another GPU")).artefact.precision == "fp32"
    assert len(list(folder.glob("lung.*.timing.json"))) == 2
    assert load_engine(spec, device(FP32_IS_FASTER)).artefact.precision == "int8"


def test_it_is_timed_anew_when_asked(spec: ModelSpec) -> None:
    load_engine(spec, device(INT8_IS_FASTER))
    assert time_anew(spec, device(FP32_IS_FASTER)).artefact.precision == "fp32"
    assert load_engine(spec, device(INT8_IS_FASTER)).artefact.precision == "fp32"


def cut(path: Path) -> None:
    path.write_text(path.read_text()[:50])


def unsound(path: Path) -> None:
    record = json.loads(path.read_text())
    record["seconds_per_slab"]["int8"] = -1.0
    path.write_text(json.dumps(record))


def of_another(path: Path) -> None:
    record = json.loads(path.read_text())
    record["key"]["device"] = "another GPU"
    path.write_text(json.dumps(record))


def without_one(path: Path) -> None:
    record = json.loads(path.read_text())
    del record["seconds_per_slab"]["int8"]
    path.write_text(json.dumps(record))


@pytest.mark.parametrize("damage", [cut, unsound, of_another, without_one])
def test_what_cannot_be_believed_is_timed_again(
    damage: Callable[[Path], None], spec: ModelSpec, folder: Path
) -> None:
    load_engine(spec, device(INT8_IS_FASTER))
    (path,) = folder.glob("*.timing.json")
    damage(path)
    assert foresee(spec, device({})) is None
    assert load_engine(spec, device(FP32_IS_FASTER)).artefact.precision == "fp32"


def test_what_cannot_be_kept_is_not_chosen_by(
    spec: ModelSpec, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Or a restart might choose otherwise, in the middle of a scan."""
    folder.touch()
    engine = load_engine(spec, device(INT8_IS_FASTER))
    assert engine.artefact.precision == "fp32"
    assert not engine.seconds_per_slab
    assert "what was timed could not be kept" in caplog.text


@pytest.mark.parametrize("timed_before", [False, True])
@pytest.mark.parametrize(
    ("fault", "said"), [("refuses", "no int8 plan for this device"), ("errs", "not a probability")]
)
def test_a_precision_that_does_not_serve_is_passed_over(
    fault: str, said: str, timed_before: bool, spec: ModelSpec, caplog: pytest.LogCaptureFixture
) -> None:
    if timed_before:
        load_engine(spec, device(INT8_IS_FASTER))
    broken = device(INT8_IS_FASTER)
    getattr(broken, fault).add("int8")
    engine = load_engine(spec, broken)
    assert engine.artefact.precision == "fp32"
    assert engine.because.startswith("int8 is not served: ")
    assert said in engine.because
    assert not engine.seconds_per_slab
    assert said in caplog.text


@pytest.mark.parametrize("fault", ["refuses", "errs"])
def test_a_device_that_runs_none_rightly_is_what_failed(fault: str, spec: ModelSpec) -> None:
    broken = device({})
    getattr(broken, fault).update(("int8", "fp32"))
    with pytest.raises(ArtefactRefusedError, match="lung: nothing serves: int8 is not served"):
        load_engine(spec, broken)
    assert issubclass(ArtefactRefusedError, DeviceError)


def test_broken_files_are_no_fault_of_the_device(spec: ModelSpec) -> None:
    for artefact in spec.artefacts:
        artefact.path.write_bytes(artefact.path.read_bytes() + EMPTY_FIELD)
    with pytest.raises(ModelError, match=r"lung: nothing serves: int8 .*spec\.toml records"):
        load_engine(spec, device({}))


@pytest.mark.parametrize("gate", ["", "failed"])
def test_int8_that_may_not_be_served_is_not_timed(gate: str, tmp_path: Path) -> None:
    spec = load_spec(with_int8(write_tiny_repository(tmp_path / "ungated"), gate=gate))
    bench = device(INT8_IS_FASTER)
    engine = load_engine(spec, bench)
    assert engine.artefact.precision == "fp32"
    assert bench.loaded == ["lung fp32"]
    assert "int8 is not served" in engine.because
    assert foresee(spec, bench) == choice_of(engine)


def test_where_nothing_is_timed_the_preferred_one_serves(spec: ModelSpec) -> None:
    openvino = choose("openvino")
    assert not openvino.timed
    engine = load_engine(spec, openvino)
    assert (engine.artefact.precision, engine.because) == ("int8", "it passed its gate")
    assert foresee(spec, openvino) == choice_of(engine)
    assert load_engine(spec, openvino, "fp32").because == "it was asked for"
    assert load_engine(spec, openvino, spec.artefact("fp32")).artefact.precision == "fp32"


def test_fp16_needs_a_runtime_that_makes_it(spec: ModelSpec) -> None:
    with pytest.raises(ModelError, match="lung: openvino cannot execute fp16, only int8 or fp32"):
        load_engine(spec, choose("openvino"), "fp16")


def test_what_is_told_to_stop_loads_no_further(spec: ModelSpec) -> None:
    told = threading.Event()
    bench = device({})
    told.set()
    with stoppable(told), pytest.raises(LoadStoppedError):
        load_engine(spec, bench)
    assert bench.loaded == []
    assert load_engine(spec, bench)


def test_a_shipped_model_is_timed_in_int8_and_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    """For real: OpenVINO's int8 against its fp32, on whatever this machine is."""
    monkeypatch.setattr(timing, "_WARM_CALLS", 1)
    monkeypatch.setattr(timing, "_LEAST_CALLS", 3)
    spec = load_spec(SHIPPED / "lung")
    engine = load_engine(spec, device({}))
    seconds = engine.seconds_per_slab
    assert all(1e-5 < taken < 10 for taken in seconds.values())
    assert engine.artefact.precision == min(("fp32", "int8"), key=seconds.__getitem__)
