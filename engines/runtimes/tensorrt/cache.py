"""Plans kept on disk, each with a record of what it was built from.

A plan is served only when its record says that it is the wanted one, and its hash is the
recorded one; anything else is built again. Writing goes to a temporary file that takes the
old one's place when it is whole, so whoever fails leaves the old plan as it was.

A plan is code that runs on the GPU, and its record lies beside it: a folder that others
than its owner may write to is not used.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from engines.artefacts import ModelError

logger = logging.getLogger(__name__)

#: Where plans are kept, when it is set.
ENVIRONMENT = "BREATHHOLD_ENGINES"


def default_folder() -> Path:
    """$BREATHHOLD_ENGINES, else "engines" in systemd's cache folder or in the user's own.

    References
    ----------
    systemd.exec(5), CacheDirectory=; XDG Base Directory Specification.
    """
    if chosen := os.environ.get(ENVIRONMENT):
        return Path(chosen)
    if service := os.environ.get("CACHE_DIRECTORY"):
        return Path(service.split(":")[0]) / "engines"
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "breathhold/engines"


@dataclass(frozen=True, slots=True)
class PlanKey:
    """All that a plan depends on.

    Parameters
    ----------
    model
        Name of the model.
    source
        SHA-256 of the ONNX file that it is built from.
    precision
        "fp32", "fp16" (made from the fp32 file) or "int8".
    runtime, version
        The library and its version.
    target
        Compute capability, as "sm_89".
    slab
        Planes, rows, columns.
    batches
        Slabs an inference may have, one optimisation profile each.
    recipe
        How this project builds; raised when that changes.
    """

    model: str
    source: str
    precision: str
    runtime: str
    version: str
    target: str
    slab: tuple[int, int, int]
    batches: tuple[int, ...]
    recipe: int = 1

    @property
    def stem(self) -> str:
        """Of the file's name: readable, and different for different keys."""
        text = json.dumps(asdict(self), sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        return f"{self.model}.{self.precision}.{self.runtime}-{self.version}.{self.target}.{digest}"


class PlanCache:
    """A folder of plans.

    Parameters
    ----------
    folder
        Made when something is kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, key: PlanKey) -> Path:
        return self.folder / f"{key.stem}.plan"

    def find(self, key: PlanKey) -> bytes | None:
        """The plan, or None when there is none, or it is not what its record says.

        Raises
        ------
        ModelError
            When others may write to the folder.
        """
        path = self.path(key)
        try:
            self._refuse_open_folder()
            plan = path.read_bytes()
            record = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            logger.warning("%s is built again: its record cannot be read: %s", path, error)
            return None
        if record != _record(key, plan):
            logger.warning("%s is built again: it is not the plan that was recorded", path)
            return None
        return plan

    def keep(self, key: PlanKey, plan: bytes) -> Path:
        """Put a plan in the place of any old one."""
        path = self.path(key)
        _replace(path, plan)
        _replace(path.with_suffix(".json"), json.dumps(_record(key, plan), indent=1).encode())
        return path

    def timings(self, key: PlanKey) -> bytes:
        """What earlier builds for this library and GPU measured; empty at first."""
        try:
            return self._timing_file(key).read_bytes()
        except FileNotFoundError:
            return b""

    def keep_timings(self, key: PlanKey, timings: bytes) -> None:
        if timings:
            _replace(self._timing_file(key), timings)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Wait until no other process builds into this folder.

        Raises
        ------
        ModelError
            When others may write to the folder.
        """
        _make(self.folder)
        self._refuse_open_folder()
        with open(self.folder / ".lock", "ab", opener=_private) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _refuse_open_folder(self) -> None:
        if self.folder.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise ModelError(
                f"others may write to {self.folder}, whose plans are code for the GPU: "
                "chmod go-w it, or keep them elsewhere"
            )

    def _timing_file(self, key: PlanKey) -> Path:
        return self.folder / f"{key.runtime}-{key.version}.{key.target}.timings"


def _record(key: PlanKey, plan: bytes) -> dict[str, object]:
    found = {"sha256": hashlib.sha256(plan).hexdigest(), "bytes": len(plan)}
    lists = {"slab": list(key.slab), "batches": list(key.batches)}
    return {"key": {**asdict(key), **lists}, "plan": found}


def _make(folder: Path) -> None:
    folder.mkdir(0o755, parents=True, exist_ok=True)


def _private(path: str, flags: int) -> int:
    """Opens a file that no one else can open, not even to lock it."""
    return os.open(path, flags, 0o600)


def _replace(path: Path, content: bytes) -> None:
    """Write a file so that a crash leaves the old one or the new one, whole."""
    _make(path.parent)
    fd, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
