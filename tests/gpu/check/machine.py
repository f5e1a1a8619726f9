"""What there is: GPU, driver, versions, commit."""

from __future__ import annotations

import datetime
import importlib.metadata
import importlib.util
import os
import platform
import subprocess
from pathlib import Path

from engines.runtimes.tensorrt.driver import cuda_version, gpus, kernel_module
from engines.runtimes.tensorrt.flavours import FLAVOURS
from tests.gpu.check.parts import Choice, Found, Row

ROOT = Path(__file__).resolve().parents[3]

_PACKAGES = {
    "DALI": "nvidia.dali",
    "nvImageCodec": "nvidia.nvimgcodec",
    "PyCUDA": "pycuda",
    "ONNX Runtime": "onnxruntime",
    "OpenVINO": "openvino",
    "NumPy": "numpy",
}


def versions() -> Row:
    """Everything that a figure depends on, by name; what is not there is None."""
    found: Row = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": commit(),
        "GPU": "; ".join(f"{gpu.name} ({gpu.capability})" for gpu in gpus()) or None,
        "driver": kernel_module(),
        "CUDA of the driver": cuda_version(),
        "CPU": f"{_cpu()}, {len(os.sched_getaffinity(0))} cores",
        "Python": platform.python_version(),
    }
    for flavour in FLAVOURS.values():
        found[flavour.name] = _version(flavour.module) if flavour.module else None
    return found | {title: _version(module) for title, module in _PACKAGES.items()}


def look(choice: Choice) -> Found:
    """The versions as a table. Nothing of it can be wrong, so it never fails."""
    rows: list[Row] = [{"what": name, "found": value or "—"} for name, value in versions().items()]
    return Found(rows)


def commit() -> str | None:
    """The commit of this checkout, with a plus where files were changed; None without git."""
    try:
        described = _git("rev-parse", "--short=12", "HEAD")
        return described + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*words: str) -> str:
    ran = subprocess.run(
        ["git", *words], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    return ran.stdout.strip()


def _version(module: str) -> str | None:
    try:
        if importlib.util.find_spec(module) is None:
            return None
    except ModuleNotFoundError:
        return None
    top = module.split(".")[0]
    names = importlib.metadata.packages_distributions().get(top, [])
    wanted = module.split(".")[-1].replace("_", "-")
    named = [name for name in names if wanted in name.lower()] or names[:1]
    return f"{named[0]} {importlib.metadata.version(named[0])}" if named else "of unknown version"


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
