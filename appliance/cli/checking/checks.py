"""The doctor's questions, each answered by looking."""

from __future__ import annotations

import importlib.util
import os
import platform
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from appliance.cli.checking.check import Check
from appliance.cli.checking.decoding import decoding_check
from appliance.cli.checking.gpus import gpu_checks, package_check
from appliance.cli.checking.precisions import precision_checks
from appliance.config import Config
from appliance.ingest.syntaxes import TRANSFER_SYNTAXES, Codec
from engines.models import ModelError, load_repository
from engines.runtimes import RUNTIMES
from engines.runtimes.tensorrt.driver import gpus

_OLDEST_PYTHON = (3, 11)
_LEAST_MEMORY_GIB = 2.0


def examine(config: Config) -> list[Check]:
    """Every check, for a daemon with this configuration."""
    return [
        _python(),
        _platform(),
        _memory(),
        *_runtimes(),
        _dali(),
        *_codecs(),
        decoding_check(config.engine),
        *_models(config.engine.repository),
        *precision_checks(config.engine),
        _state_folder(config.storage.state_dir),
        _port("gRPC address", config.server.listen),
        _port("http address", config.server.http),
        *gpu_checks(),
        package_check("training", "torch", "pip install 'breathhold[train]'"),
    ]


def _python() -> Check:
    version = platform.python_version()
    new_enough = sys.version_info >= _OLDEST_PYTHON
    remedy = "" if new_enough else "Python 3.11 or newer is needed."
    return Check("Python", new_enough, True, version, remedy)


def _platform() -> Check:
    system, machine = platform.system(), platform.machine()
    cores = len(os.sched_getaffinity(0))
    right = (system, machine) == ("Linux", "x86_64")
    remedy = "" if right else "Linux on x86-64 is needed."
    return Check("machine", right, True, f"{system} {machine}, {cores} cores", remedy)


def _memory() -> Check:
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    enough = gib >= _LEAST_MEMORY_GIB
    remedy = "" if enough else f"{_LEAST_MEMORY_GIB:g} GiB are needed."
    return Check("memory", enough, True, f"{gib:.1f} GiB", remedy)


def _runtimes() -> Iterator[Check]:
    serving = [runtime for runtime in RUNTIMES.values() if not runtime.by_name_only]
    usable = [runtime for runtime in serving if not runtime.unavailable()]
    for name, runtime in RUNTIMES.items():
        reason = runtime.unavailable()
        needed = not usable and not runtime.by_name_only
        detail = reason or runtime.device()
        yield Check(f"runtime {name}", reason is None, needed, detail)


def _dali() -> Check:
    try:
        from nvidia import dali
    except ImportError:
        remedy = "pip install nvidia-dali-cuda130"
        return Check("DALI", False, True, "the package is not installed", remedy)
    devices = ", ".join(["CPU", *(gpu.name for gpu in gpus())])
    return Check("DALI", True, True, f"{dali.__version__} on {devices}")


def _codecs() -> Iterator[Check]:
    there = importlib.util.find_spec("imagecodecs") is not None
    for codec in Codec:
        names = [syntax.name for syntax in TRANSFER_SYNTAXES.values() if syntax.codec is codec]
        title = f"pixels, {codec.value}"
        if there or codec is Codec.NATIVE:
            yield Check(title, True, True, ", ".join(names))
        else:
            yield Check(title, False, True, "imagecodecs is missing", "pip install imagecodecs")


def _models(repository: Path) -> Iterator[Check]:
    try:
        specs = load_repository(repository)
    except ModelError as error:
        yield Check("models", False, True, str(error), "Install the package again.")
        return
    for spec in specs:
        for artefact in spec.artefacts:
            title = f"model {spec.name} {artefact.precision}"
            sections = "/".join(spec.sections)
            detail = f"version {spec.version}, {spec.role}, {sections}, hash as recorded"
            yield _checked(title, detail, artefact.verify)


def _checked(title: str, detail: str, verify: Callable[[], None]) -> Check:
    try:
        verify()
    except ModelError as error:
        return Check(title, False, True, str(error), "Install the package again.")
    return Check(title, True, True, detail)


def _state_folder(folder: Path) -> Check:
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
        return Check("state folder", True, False, str(folder))
    return Check(
        "state folder",
        False,
        False,
        f"{folder} cannot be written by this user",
        "breathhold serve --state DIR",
    )


def _port(title: str, address: str) -> Check:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_server((host.strip("[]"), int(port))):
            return Check(title, True, False, f"{address} is free")
    except OSError as error:
        detail = f"{address}: {error.strerror or error}"
        return Check(title, False, False, detail, "Another daemon runs, or choose another port.")
