from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
import socket
from pathlib import Path

import pytest

from appliance.cli.checking import gpus as gpu_checking
from tests.bench_runtime import Registering
from tests.cli.command import Command
from tests.gated_models import with_int8


@pytest.fixture
def config(repository: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "repository"
    shutil.copytree(repository, copy)
    file = tmp_path / "box.toml"
    file.write_text(
        f'[engine]\nrepository = "{copy}"\n[storage]\nstate_dir = "{tmp_path / "state"}"\n'
    )
    return file


def test_a_machine_that_can_do_the_job(command: Command, config: Path) -> None:
    ran = command("doctor", "--json", "--config", config)
    assert ran.code == 0
    found = {check["name"]: check for check in ran.event("check")}
    needed = ("Python", "DALI", "runtime openvino", "pixels, JPEG 2000", "model lung fp32")
    for name in needed:
        assert found[name]["ok"], name
    assert "cores" in found["machine"]["detail"]
    assert ran.lines[-1] == {"event": "doctor", "ok": True}
    for check in found.values():
        said = check["remedy"] or check["name"] == "GPU" or "pip install" in check["detail"]
        assert check["ok"] or said, check["name"]


def test_what_the_gpu_needs_has_a_line_each(command: Command, config: Path) -> None:
    ran = command("doctor", "--json", "--config", config)
    found = {check["name"]: check for check in ran.event("check")}
    for name in ("GPU", "NVIDIA driver", "libcuda", "tensorrt", "tensorrt-rtx", "PyCUDA"):
        assert not found[name]["needed"]
        assert found[name]["ok"] or found[name]["remedy"] or name == "GPU"
    version = importlib.metadata.version("tensorrt-rtx-cu13-bindings")
    assert found["tensorrt-rtx"]["ok"]
    assert version in found["tensorrt-rtx"]["detail"]


def test_people_get_a_table(command: Command, config: Path) -> None:
    ran = command("doctor", "--config", config)
    assert "This machine can run the appliance." in ran.out
    assert "JPEG Lossless SV1" in ran.out


def test_a_model_that_is_not_the_recorded_one(
    command: Command, config: Path, tmp_path: Path
) -> None:
    with (tmp_path / "repository" / "lung" / "1" / "model.onnx").open("ab") as file:
        file.write(b"!")
    ran = command("doctor", "--json", "--config", config)
    assert ran.code == 1
    broken = [check for check in ran.event("check") if check["needed"] and not check["ok"]]
    assert [check["name"] for check in broken] == ["model lung fp32"]
    assert "cannot run" in command("doctor", "--config", config).out


def test_no_models_at_all(command: Command, config: Path, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "repository")
    assert command("doctor", "--config", config).code == 1


def test_a_codec_that_is_missing_names_its_package(
    command: Command, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "imagecodecs" else find(name)
    )
    ran = command("doctor", "--json", "--config", config)
    assert ran.code == 1
    (missing,) = [check for check in ran.event("check") if check["name"] == "pixels, RLE"]
    assert missing["remedy"] == "pip install imagecodecs"


def test_a_taken_port_is_said_but_is_no_hindrance(
    command: Command, config: Path, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config.write_text(f'{config.read_text()}[server]\nlisten = "127.0.0.1:{port}"\n')
        ran = command("doctor", "--json", "--config", config)
    assert ran.code == 0
    (check,) = [check for check in ran.event("check") if check["name"] == "gRPC address"]
    assert not check["ok"]
    assert str(port) in check["detail"]


def test_a_state_folder_that_is_a_file(command: Command, config: Path, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    ran = command("doctor", "--json", "--config", config)
    (check,) = [check for check in ran.event("check") if check["name"] == "state folder"]
    assert not check["ok"]


def test_which_precision_would_serve_is_said_with_its_reason(
    command: Command, config: Path, tmp_path: Path
) -> None:
    with_int8(tmp_path / "repository")
    config.write_text(config.read_text().replace("[engine]", '[engine]\nruntime = "openvino"'))
    ran = command("doctor", "--json", "--config", config)
    found = {check["name"]: check for check in ran.event("check")}
    assert found["precision of lung"]["detail"] == "int8 on openvino: it passed its gate"
    assert found["precision of lesion"]["detail"] == "fp32 on openvino: there is no other"
    config.write_text(config.read_text().replace("[engine]", '[engine]\nprecision = "int8"'))
    refused = command("doctor", "--json", "--config", config)
    assert refused.code == 1
    found = {check["name"]: check for check in refused.event("check")}
    assert "lesion: no int8 artefact for openvino" in found["precision of lesion"]["detail"]


def test_a_precision_that_is_not_timed_yet_names_the_command(
    command: Command, config: Path, tmp_path: Path, bench: Registering
) -> None:
    with_int8(tmp_path / "repository")
    bench(gpu0="a GPU").time_precisions("int8", "fp32")
    config.write_text(config.read_text().replace("[engine]", '[engine]\nruntime = "bench"'))
    ran = command("doctor", "--json", "--config", config)
    found = {check["name"]: check for check in ran.event("check")}
    check = found["precision of lung"]
    assert check["detail"] == "the faster of int8 and fp32: not timed on this device yet"
    assert check["remedy"] == "breathhold build"
    assert found["precision of lesion"]["detail"] == "fp32 on bench: there is no other"


def test_a_driver_that_does_not_start_says_why(
    command: Command, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_checking, "gpus", list)
    monkeypatch.setattr(gpu_checking, "trouble", lambda: "cuInit: CUDA_ERROR_SYSTEM_NOT_READY")
    ran = command("doctor", "--json", "--config", config)
    (check,) = [check for check in ran.event("check") if check["name"] == "GPU"]
    assert check["detail"] == "CUDA does not start: cuInit: CUDA_ERROR_SYSTEM_NOT_READY"
    assert "nvidia-fabricmanager" in check["remedy"]


def test_what_decodes_is_said(command: Command, config: Path, bench: Registering) -> None:
    def decoding() -> dict[str, object]:
        (found,) = (
            check
            for check in command("doctor", "--json", "--config", config).event("check")
            if check["name"] == "decoding"
        )
        return dict(found)

    text = config.read_text()
    config.write_text(text.replace("[engine]", '[engine]\nruntime = "openvino"'))
    assert decoding()["detail"] == "all on the CPU: no GPU infers here"
    config.write_text(text.replace("[engine]", '[engine]\ndecode = "cpu"'))
    assert decoding()["detail"] == "all on the CPU: engine.decode says so"
    bench(gpu7="a GPU that CUDA does not have")
    config.write_text(text.replace("[engine]", '[engine]\nruntime = "bench"'))
    found = decoding()
    assert (found["ok"], found["needed"]) == (False, False)
    assert found["detail"] == "gpu7 decodes nothing exactly: the CPU decodes"
