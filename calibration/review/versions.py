"""Versions of a model in a site's own repository: put in, and taken back.

Each version has a folder; beside its files lies the ``spec.toml`` it was served with, so
that any version can be served again.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from calibration.review.folder import ReviewError
from engines.folder import replace_file
from engines.models import SHIPPED, load_spec
from engines.versions import MissingVersionError, load_version

#: What describes the served version, kept in the folder of each.
_DESCRIPTION = ("spec.toml", "config.pbtxt", "MODEL_CARD.md")


def own_repository(folder: Path, origin: Path | None = None) -> Path:
    """The site's repository: made as a copy of another, by default of the shipped one.

    Raises
    ------
    ReviewError
        When there is one already and another is to be begun with.
    """
    if not folder.is_dir():
        part = folder.with_name(folder.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(origin or SHIPPED, part)
        part.rename(folder)
    elif origin is not None and origin.resolve() != folder.resolve():
        raise ReviewError(f"{folder} is there already; it is what is refined")
    return folder


def install(candidate: Path, model: Path) -> None:
    """Serve a new version; the one served until now stays, with what describes it.

    Broken off at any moment, it leaves the one or the other served, whole.

    Parameters
    ----------
    candidate
        Folder of the same model with the new version.
    model
        Folder of the model in the site's repository.

    Raises
    ------
    ReviewError
        When the repository has that version already.
    """
    version = load_spec(candidate).version
    target = model / str(version)
    if target.exists():
        raise ReviewError(f"{target} is there already")
    _keep_description(model, load_spec(model).version)
    part = model / f"{version}.part"
    shutil.rmtree(part, ignore_errors=True)  # of an installation that was broken off
    shutil.copytree(candidate / str(version), part)
    _copy_description(candidate, part)
    part.rename(target)
    _serve(model, target)


def restore_version(model: Path, version: int) -> int:
    """Serve a version that was served before.

    Returns
    -------
    The version that was served until now.

    Raises
    ------
    ReviewError
        When there is no such version.
    ModelError
        When the model's folder is broken.
    """
    if not model.is_dir():
        raise ReviewError(f"{model} does not exist: no model was installed there")
    before = load_spec(model).version
    try:
        load_version(model, version)
    except MissingVersionError as error:
        raise ReviewError(str(error)) from error
    if version != before:
        _keep_description(model, before)
        _serve(model, model / str(version))
    return before


def next_version(model: Path) -> int:
    """One above the highest there is."""
    folders = [int(path.name) for path in model.iterdir() if path.name.isdigit()]
    return max([*folders, load_spec(model).version]) + 1


def _keep_description(model: Path, version: int) -> None:
    _copy_description(model, model / str(version))


def _copy_description(source: Path, target: Path) -> None:
    """``spec.toml``, which decides what is served, comes last."""
    for name in reversed(_DESCRIPTION):
        if (source / name).is_file():
            replace_file(target / name, (source / name).read_bytes())


def _serve(model: Path, version: Path) -> None:
    _copy_description(version, model)
    load_spec(model)
