"""Plans kept on disk, each with a record of what it was built from.

A plan is served only when its record says that it is the wanted one, and its hash is the
recorded one; anything else is built again.
"""

from __future__ import annotations

import hashlib
import json
import logging
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

from engines.folder import locked, refuse_open, replace_file

logger = logging.getLogger(__name__)


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
            refuse_open(self.folder)
            plan = path.read_bytes()
            record = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except OSError as error:
            logger.warning("%s is built again: it cannot be read: %s", path, error.strerror)
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
        replace_file(path, plan)
        replace_file(path.with_suffix(".json"), json.dumps(_record(key, plan), indent=1).encode())
        return path

    def timings(self, key: PlanKey) -> bytes:
        """What earlier builds for this library and GPU measured; empty at first."""
        try:
            return self._timing_file(key).read_bytes()
        except OSError:
            return b""

    def keep_timings(self, key: PlanKey, timings: bytes) -> None:
        if timings:
            replace_file(self._timing_file(key), timings)

    def locked(self) -> AbstractContextManager[None]:
        """Wait until no other process builds here; see :func:`engines.folder.locked`."""
        return locked(self.folder)

    def _timing_file(self, key: PlanKey) -> Path:
        return self.folder / f"{key.runtime}-{key.version}.{key.target}.timings"


def _record(key: PlanKey, plan: bytes) -> dict[str, object]:
    found = {"sha256": hashlib.sha256(plan).hexdigest(), "bytes": len(plan)}
    lists = {"slab": list(key.slab), "batches": list(key.batches)}
    return {"key": {**asdict(key), **lists}, "plan": found}
