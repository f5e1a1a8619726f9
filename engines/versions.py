"""The versions of a model that its folder holds: the one it describes, and those of before.

A folder describes one version in its ``spec.toml``. In the folder of each other version that can
serve, beside its files, lies the ``spec.toml`` that it was served with.
"""

from __future__ import annotations

from pathlib import Path

from engines.models import SPEC, ModelError, ModelSpec, load_spec


class MissingVersionError(ModelError):
    """The folder has no such version."""


def versions(model: Path) -> list[int]:
    """The versions of a model that can serve, ascending.

    Raises
    ------
    ModelError
        When the folder is broken.
    """
    kept = (path.parent.name for path in model.glob(f"*/{SPEC}"))
    numbers = {int(name) for name in kept if name.isdecimal()}
    return sorted(numbers | {load_spec(model).version})


def load_version(model: Path, version: int) -> ModelSpec:
    """Read what describes one version of a model.

    Raises
    ------
    MissingVersionError
        When there is none; it says which there are.
    ModelError
        When the folder is broken.
    """
    described = load_spec(model)
    if version == described.version:
        return described
    if version not in (known := versions(model)):
        there = ", ".join(map(str, known))
        raise MissingVersionError(f"{model.name} has no version {version}; there are {there}")
    spec = load_spec(model, Path(str(version)) / SPEC)
    if spec.version != version:
        raise ModelError(f"{model / str(version) / SPEC}: it describes version {spec.version}")
    return spec
