"""The check of a GPU box, tried on the CPU: the program itself, on a tiny phantom."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines.folder import ENVIRONMENT
from engines.runtimes import RUNTIMES
from engines.runtimes.tensorrt import driver
from tests.engines.device.host_device import HostDevice, HostDeviceRuntime, kernel_library
from tests.gpu.check import __main__ as check
from tests.gpu.check import builds, slabs
from tests.gpu.check import parts as parts_module
from tests.gpu.check.apart import apart
from tests.gpu.check.kernel import compare_kernels
from tests.gpu.check.parts import Choice, Found, Outcome, Part, run_part
from tests.gpu.check.roofline import PEAKS, Work, peak_of, work_of
from tests.gpu.check.suite import read_report
from tests.gpu.check.writing import BEGIN, END, MarksMissingError, markdown, merged, rewrite
from tests.tiny_models import write_tiny_repository

pytestmark = pytest.mark.timeout(600)  # a phantom takes seconds, a busy machine more
TINY = ("--slices", "12", "--matrix", "64", "--rate", "60", "--enough", "0.02", "--most-cases", "0")


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (driver, check, parts_module):
        monkeypatch.setattr(module, "gpus", list)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One run of all that runs without a GPU."""
    folder = tmp_path_factory.mktemp("check")
    models = write_tiny_repository(folder / "models")
    page = folder / "page.md"
    page.write_text(f"Before.\n{BEGIN}\nan earlier table\n{END}\nAfter.\n")
    found = folder / "found.json"
    arguments = ["--runtime", "openvino", "--precision", "fp32", "--models", str(models), *TINY]
    status = check.main([*arguments, "--json", str(found), "--page", str(page)])
    record = json.loads(found.read_text())
    parts = {part["part"]: part for part in record["parts"]}
    return {"status": status, "page": page.read_text(), "parts": parts, "all": record}


def test_what_can_run_on_the_cpu_passes_there(outcomes: dict[str, Any]) -> None:
    states = {name: part["state"] for name, part in outcomes["parts"].items()}
    reasons = {name: part["reason"] for name, part in outcomes["parts"].items()}
    assert outcomes["status"] == 0, reasons
    assert list(states) == [part.name for part in check.PARTS]
    for name in ("what", "dali", "masks", "slabs", "path"):
        assert states[name] == "passed", reasons
    if not driver.gpus():
        for name in ("pycuda", "kernel", "tests", "engines"):
            assert states[name] == "not run"
            assert "there is no NVIDIA GPU with a driver" in reasons[name]


def test_masks_are_compared_case_by_case(outcomes: dict[str, Any]) -> None:
    rows = outcomes["parts"]["masks"]["rows"]
    assert [row["case"] for row in rows][:2] == ["phantom, thin", "phantom, thick"]
    assert all(row["lesion Dice"] > 0.999 and row["ok"] for row in rows)
    first, last = outcomes["parts"]["masks"]["notes"]
    assert first == "Compared with lesion fp32, lung fp32 of openvino on the CPU."
    assert last.startswith("fp32: PO moves by 0.0000 points on average")


def test_the_path_goes_through_a_daemon(outcomes: dict[str, Any]) -> None:
    rows = outcomes["parts"]["path"]["rows"]
    assert [(row["section"], row["rate"]) for row in rows] == [
        ("thin", "unlimited"), ("thin", 60.0), ("thick", "unlimited"), ("thick", 60.0),
    ]  # fmt: skip
    assert all(row["slices"] == 12 and row["last slice to report, s"] > 0 for row in rows)
    assert all(0 < row["slices/s"] < 1000 for row in rows)
    assert rows[3]["slices/s"] < 60 * 12 / 11  # twelve slices are eleven intervals


def test_slabs_are_timed_with_their_work(outcomes: dict[str, Any]) -> None:
    rows = {(r["model"], r["precision"]): r for r in outcomes["parts"]["slabs"]["rows"]}
    assert ("lung", "fp32") in rows
    assert all(row["ms a slab"] > 0 and row["G operations a slab"] > 0 for row in rows.values())


def test_the_table_lies_between_the_marks(outcomes: dict[str, Any]) -> None:
    page = outcomes["page"]
    assert page.startswith(f"Before.\n{BEGIN}\n")
    assert page.endswith(f"{END}\nAfter.\n")
    assert "an earlier table" not in page
    assert "### slabs\n\n**Passed**. Run: " in page
    assert "### path" in page
    assert str(outcomes["all"]["versions"]["DALI"]) in page


def test_a_run_of_some_parts_leaves_the_others_as_they_were() -> None:
    order = ("what", "dali", "slabs")
    slow = Outcome("slabs", "passed", "", [{"ms": 2.0}], ["A note."])
    waiting = Outcome("dali", "not run", "no DALI")
    first = merged("Nothing has run.\n", [slow, waiting], {"GPU": "T4"}, order)
    assert "Nothing" not in first
    assert first.index("### dali\n\n**Not run**: no DALI. ") < first.index("### slabs\n")
    exact = Outcome("dali", "failed", "it broke")
    second = merged(first, [replace(slow, state="not run"), exact], {"GPU": "H200"}, order)
    assert "### dali\n\n**Failed**: it broke. Run: GPU H200.\n" in second
    assert second[second.index("### slabs") :] == first[first.index("### slabs") :]
    assert merged(second, [], {}, order) == second
    assert "dali" not in merged(second, [], {}, ("slabs",))


def dies(_: Choice) -> Found:
    os.abort()


def test_a_part_whose_process_dies_has_failed_and_no_other(tmp_path: Path) -> None:
    outcome = run_part(Part("some", "", apart(__name__, "dies")), choice(tmp_path))
    assert outcome.state == "failed"
    assert outcome.reason.startswith("BrokenProcessPool: ")


def test_it_runs_as_a_program() -> None:
    command = [sys.executable, "-m", "tests.gpu.check", "--runtime", "openvino", "--parts", "what"]
    ran = subprocess.run(command, cwd=check.ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "| what | passed |" in ran.stdout


def test_every_part_has_a_name_for_all_of_them() -> None:
    assert check._names("all") == [part.name for part in check.PARTS]


def test_a_page_without_marks_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("Nothing here.\n")
    with pytest.raises(MarksMissingError, match=r"page\.md has no place"):
        rewrite(page, lambda old: "table")
    assert page.read_text() == "Nothing here.\n"


def test_a_page_without_a_place_is_a_wrong_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "page.md").write_text("Nothing here.\n")
    for name in ("page.md", "no_such.md"):
        with pytest.raises(SystemExit) as caught:
            check.main(["--page", str(tmp_path / name)])
        assert caught.value.code == 2
    told = capsys.readouterr().err
    assert "page.md has no place for the table" in told
    assert "No such file or directory" in told


def test_the_documentation_has_the_marks(tmp_path: Path) -> None:
    page = tmp_path / "gpu.md"
    page.write_text(check.PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    rewrite(page, lambda old: "| a table |")
    assert "| a table |" in page.read_text(encoding="utf-8")


def test_without_a_gpu_it_says_so_and_fails(
    no_gpu: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check.main([]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("There is no NVIDIA GPU with a driver here")


def test_figures_of_a_cpu_are_not_written_into_the_documentation(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = check.PAGE.read_bytes()
    page = ["--page", str(check.PAGE)]
    assert check.main(["--runtime", "openvino", "--parts", "what", *page]) == 0
    assert check.PAGE.read_bytes() == before
    assert "is left as it is" in capsys.readouterr().err


def test_an_unknown_part_is_a_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        check.main(["--parts", "dali,nonsense"])
    assert caught.value.code == 2
    assert "no part is called nonsense; there are what, dali" in capsys.readouterr().err


def choice(tmp_path: Path, *, on_gpu: bool = False) -> Choice:
    return Choice("openvino", on_gpu, ("int8",), tmp_path, None, 0, 12, 64, 50.0, 0.01, tmp_path)


def test_a_part_whose_package_is_missing_names_it_and_does_not_run(tmp_path: Path) -> None:
    part = Part("some", "", lambda _: pytest.fail("it ran"), ("no_such_package", "no.such.one"))
    outcome = run_part(part, choice(tmp_path))
    assert outcome.state == "not run"
    assert outcome.reason == "not installed: no_such_package, no.such.one (make .venv/.installed)"


def test_a_part_that_breaks_or_finds_a_fault_has_failed(tmp_path: Path) -> None:
    def broken(_: Choice) -> Found:
        raise RuntimeError("CUDA went away")

    outcome = run_part(Part("some", "", broken), choice(tmp_path))
    assert (outcome.state, outcome.reason) == ("failed", "RuntimeError: CUDA went away")
    wrong = Found([{"ok": True}, {"ok": False}])
    assert run_part(Part("some", "", lambda _: wrong), choice(tmp_path)).state == "failed"
    assert run_part(Part("some", "", lambda _: Found()), choice(tmp_path)).state == "failed"


def test_a_part_on_the_gpu_needs_one(no_gpu: None, tmp_path: Path) -> None:
    part = Part("some", "", lambda _: Found([{}]))
    assert run_part(part, choice(tmp_path)).state == "passed"
    assert run_part(part, choice(tmp_path, on_gpu=True)).state == "not run"


def test_all_that_may_be_served_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "engines"))
    monkeypatch.setattr(builds, "TARGET", "sm_89")
    models = write_tiny_repository(tmp_path / "models")
    asked = replace(choice(tmp_path), runtime="tensorrt-rtx", models=models)
    found = builds.build_engines(asked)
    assert found.passed
    assert [(row["model"], row["precision"], row["target"]) for row in found.rows] == [
        ("lesion", "fp32", "sm_89"), ("lung", "fp32", "sm_89"),
        ("lesion", "fp16", "sm_89"), ("lung", "fp16", "sm_89"),
    ]  # fmt: skip
    assert found.notes == [
        f"{name} int8 is not built: {name}: no int8 artefact for tensorrt"
        for name in ("lesion", "lung")
    ]
    monkeypatch.setattr(builds, "TARGET", "sm_1")
    found = builds.build_engines(asked)
    assert not found.passed
    assert any("cannot build for sm_1" in note for note in found.notes)


class SendingHost(HostDevice):
    """The kernels' arithmetic compiled for the CPU, as a device that can be given arrays."""

    def send(self, address: int, array: npt.NDArray[np.float32]) -> None:
        ctypes.memmove(address, array.ctypes.data, array.nbytes)


def test_the_kernels_part_finds_what_the_cpu_finds(tmp_path: Path) -> None:
    device = SendingHost(kernel_library(tmp_path))
    models = write_tiny_repository(tmp_path / "models")
    found = compare_kernels(device, replace(choice(tmp_path), models=models))
    assert [row["kernel"] for row in found.rows] == [
        "restore", "combine: slabs", "combine: blend", "coarsen",
    ]  # fmt: skip
    assert all(row["ok"] and row["us"] > 0 for row in found.rows)


def test_slabs_that_can_stay_on_a_device_are_timed_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = HostDevice(kernel_library(tmp_path))
    monkeypatch.setitem(RUNTIMES, "host", HostDeviceRuntime(RUNTIMES["openvino"], device))
    monkeypatch.setattr(slabs, "_peak", lambda choice: PEAKS["H200"])
    models = write_tiny_repository(tmp_path / "models")
    asked = replace(choice(tmp_path), runtime="host", models=models)
    rows = slabs.time_slabs(asked).rows
    assert [(row["model"], row["precision"]) for row in rows] == [
        ("lesion", "fp32"), ("lung", "fp32"),
    ]  # fmt: skip
    for row in rows:
        assert row["times the bound"] == pytest.approx(row["ms a slab"] / row["bound, ms"])
        assert row["within 2"] == "no"
    assert 0 < device.fetched_bytes < 4 * 200


def test_the_gain_of_int8_is_told() -> None:
    rows = [
        {"model": model, "precision": precision, "ms a slab": ms}
        for model, precision, ms in (
            ("a", "fp32", 4.0), ("a", "fp16", 2.0), ("a", "int8", 1.0),
            ("b", "fp32", 1.0), ("b", "int8", 2.0), ("c", "fp16", 1.0),
        )
    ]  # fmt: skip
    assert list(slabs._gains(rows)) == [
        "a: int8 is 2.00 times as fast as fp16.",
        "b: int8 is 0.50 times as fast as fp32.",
    ]


def test_gpus_are_known_by_the_longest_name_that_fits() -> None:
    assert peak_of("NVIDIA H200") is PEAKS["H200"]
    assert peak_of("NVIDIA H200 NVL") is PEAKS["H200 NVL"]
    assert peak_of("NVIDIA H100 80GB HBM3") is PEAKS["H100 80GB HBM3"]
    assert peak_of("NVIDIA L40S") is PEAKS["L40S"]
    assert peak_of("NVIDIA A100-SXM4-80GB") is PEAKS["A100-SXM4-80GB"]
    for other in ("NVIDIA GeForce GTX 1080", "NVIDIA L40", "NVIDIA T400 4GB", "NVIDIA H100 NVL"):
        assert peak_of(other) is None


def test_the_bound_is_the_larger_of_both() -> None:
    """8 slabs of 1 TFLOP at 989 TFLOP/s of fp16, and of 1 GB of weights at 4.8 TB/s."""
    peak = PEAKS["H200"]
    assert Work(1e12, 0, 0).bound(peak, "fp16", 8) == pytest.approx(8 / 989)
    assert Work(1, 0, 0.5e9).bound(peak, "fp16", 8) == pytest.approx(1 / 4800)
    assert Work(1, 1e9, 0).bound(peak, "int8", 8) == pytest.approx(8 / 4800)


def test_the_work_of_a_network_is_counted(tmp_path: Path) -> None:
    """One 3 x 3 convolution of 2 to 4 channels on 8 x 6, then one transposed of 2 x 2."""
    first = numpy_helper.from_array(np.zeros((4, 2, 3, 3), np.float32), "first")
    second = numpy_helper.from_array(np.zeros((4, 1, 2, 2), np.float32), "second")
    nodes = [
        helper.make_node("Conv", ["x", "first"], ["y"], pads=[1, 1, 1, 1]),
        helper.make_node("ConvTranspose", ["y", "second"], ["z"], strides=[2, 2]),
    ]
    ends = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", channels, rows, columns])]
        for name, channels, rows, columns in (("x", 2, 8, 6), ("z", 1, 16, 12))
    ]
    graph = helper.make_graph(nodes, "two", *ends, initializer=[first, second])
    path = tmp_path / "two.onnx"
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), path
    )
    work = work_of(path)
    assert work.operations == 2 * (48 * 72 + 48 * 16)
    assert work.activations == (48 * 2 + 48 * 4) + (48 * 4 + 192)
    assert work.weights == 72 + 16


def test_reports_of_pytest_are_read(tmp_path: Path) -> None:
    path = tmp_path / "report.xml"
    path.write_text(
        "<testsuites><testsuite>"
        '<testcase classname="tests.gpu.test_a" name="one"/>'
        '<testcase classname="tests.gpu.test_a" name="two"><skipped message="no plan"/></testcase>'
        '<testcase classname="tests.gpu.test_b" name="three">'
        '<failure message="assert 1 == 2&#10;more"/></testcase>'
        "</testsuite></testsuites>"
    )
    found = read_report(path)
    assert found.rows == [
        {"tests": "tests/gpu/test_a", "passed": 1, "failed": 0, "skipped": 1, "ok": True},
        {"tests": "tests/gpu/test_b", "passed": 0, "failed": 1, "skipped": 0, "ok": False},
    ]
    assert found.notes == ["failed: three: assert 1 == 2", "skipped: no plan"]
    assert not found.passed


def test_tables_show_every_column_and_what_is_not_there() -> None:
    rows = [{"a": 1.23456, "ok": True}, {"a": None, "b": "x|y", "ok": False}]
    text = markdown([Outcome("some", "failed", "why", rows, ["A note."])], {"GPU": "H200"})
    assert "Run: GPU H200." in text
    assert "| a | ok | b |" in text
    assert "| 1.235 | pass | — |" in text
    assert "| — | **fail** | x\\|y |" in text
    assert text.endswith("A note.\n")
