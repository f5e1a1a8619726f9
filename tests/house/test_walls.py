"""The walls of the house: who may import whom."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("appliance", "engines", "calibration", "breathhold")
SOURCES = [path for room in ROOMS[:3] for path in sorted((ROOT / room).rglob("*.py"))]


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> Iterator[str]:
    """Every module a file imports, also inside functions."""
    package = module_of(path).split(".")
    package = package if path.name == "__init__.py" else package[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            yield stem
            yield from (f"{stem}.{alias.name}" for alias in node.names)


def inside(module: str, room: str) -> bool:
    return module == room or module.startswith(room + ".")


def sources_of(room: str) -> list[Path]:
    found = [path for path in SOURCES if inside(module_of(path), room)]
    assert found, f"{room} has no sources: the wall guards nothing"
    return found


def broken(room: str, forbidden: tuple[str, ...], but: tuple[str, ...] = ()) -> list[str]:
    return [
        f"{module_of(path)} imports {name}"
        for path in sources_of(room)
        for name in imports_of(path)
        if any(inside(name, wall) for wall in forbidden)
        and not any(inside(module_of(path), spared) for spared in but)
    ]


def test_engines_know_neither_appliance_nor_calibration_nor_dicom() -> None:
    assert not broken("engines", ("appliance", "calibration", "pydicom", "grpc", "breathhold"))


def test_appliance_does_not_know_calibration_except_at_its_roof() -> None:
    assert not broken("appliance", ("calibration",), but=("appliance.cli",))


@pytest.mark.parametrize("room", ["appliance.scan", "appliance.quantify"])
def test_the_core_is_pure(room: str) -> None:
    allowed = {"numpy", "appliance", "__future__"}
    impure = {"asyncio", "threading", "time", "datetime", "os", "io", "socket", "pathlib", "random"}
    for path in sources_of(room):
        for name in imports_of(path):
            top = name.split(".")[0]
            assert top in allowed or (top in sys.stdlib_module_names and top not in impure), (
                f"{module_of(path)} imports {name}"
            )
            if top == "appliance":
                assert inside(name, "appliance.scan") or inside(name, "appliance.quantify"), (
                    f"{module_of(path)} imports {name}"
                )


@pytest.mark.parametrize(
    ("room", "above"),
    [
        ("appliance.ingest", ("live", "serve", "storage", "inference", "daemon", "cli")),
        ("appliance.storage", ("live", "serve", "ingest", "inference", "daemon", "cli")),
        ("appliance.followup", ("live", "serve", "ingest", "inference", "daemon", "cli")),
        ("appliance.inference", ("live", "serve", "ingest", "storage", "daemon", "cli")),
        ("appliance.live", ("serve", "daemon", "cli")),
        ("appliance.serve", ("ingest", "inference", "daemon", "cli")),
    ],
)
def test_nothing_calls_back_up(room: str, above: tuple[str, ...]) -> None:
    assert not broken(room, tuple(f"appliance.{name}" for name in above))


def test_only_the_daemon_wires_and_nothing_imports_the_roof() -> None:
    assert not broken(
        "appliance",
        ("appliance.daemon",),
        but=("appliance.daemon", "appliance.running", "appliance.cli"),
    )
    assert not broken("appliance", ("appliance.cli",), but=("appliance.cli",))
    assert not broken("calibration", ("appliance.cli", "appliance.daemon"))


def test_torch_is_for_training_only() -> None:
    training = ("engines.networks", "engines.training")
    converters = ("calibration.quantisation", "engines.runtimes.tensorrt.halving")
    for room in ROOMS[:3]:
        assert not broken(room, ("torch",), but=training)
        assert not broken(room, ("onnx",), but=(*training, *converters))


def test_cuda_is_for_one_runtime_only() -> None:
    for room in ROOMS[:3]:
        assert not broken(room, ("pycuda",), but=("engines.runtimes.tensorrt",))


def test_only_evaluation_and_training_draw_plots() -> None:
    drawing = ("calibration.evaluation", "engines.training")
    for room in ROOMS[:3]:
        assert not broken(room, ("matplotlib",), but=drawing)
