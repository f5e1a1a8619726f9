"""Which versions of the models serve, and how an operator changes them while scans go on.

What is changed holds for scans that are opened from then on. A scan in progress stays with the
edition that it began with, also when it is taken up again after a restart.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from appliance.failpoints import hit
from appliance.inference.editions import Edition
from appliance.inference.loader import EngineLoader
from appliance.inference.shelf import MOST_EDITIONS, Shelf, TooManyEditionsError
from appliance.live import errors
from appliance.live.errors import ScanError
from appliance.live.restoring import Restoring
from appliance.scan.verdicts import Notice
from appliance.storage.choices import Choice, Choices, save_choices
from appliance.storage.errors import ChoicesError
from breathhold.v1 import types_pb2
from engines.models import ModelError, ModelSpec, load_repository
from engines.runtimes import DeviceLostError
from engines.stopping import LoadStoppedError
from engines.versions import MissingVersionError, load_version, versions

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class VersionChange:
    """A model that infers new scans otherwise; version 0: it was not there, or is gone.

    The versions are equal where only its files or its description are others.
    """

    name: str
    before: int
    version: int

    def __str__(self) -> str:
        if not self.before:
            return f"{self.name}: version {self.version} serves new scans"
        if not self.version:
            return f"{self.name} serves no more"
        if self.before == self.version:
            return f"{self.name}: version {self.version} serves new scans as its folder is now"
        return (
            f"{self.name}: version {self.version} serves new scans in place of version "
            f"{self.before}"
        )


def chosen_specs(repository: Path, choices: Choices) -> list[ModelSpec]:
    """The models of a repository, in the versions that were chosen, else as it describes them.

    A version that is gone is replaced by the one described, which the log says.

    Raises
    ------
    ModelError
        When the repository is broken.
    """
    return [_chosen(repository, spec, choices) for spec in load_repository(repository)]


def _chosen(repository: Path, spec: ModelSpec, choices: Choices) -> ModelSpec:
    version = choices.get(spec.name, Choice()).version
    if version is None:
        return spec
    try:
        return load_version(repository / spec.name, version)
    except MissingVersionError as error:
        there = spec.version
        logger.error("an operator chose version %d, but %s: %d serves", version, error, there)
        return spec


class ServedModels:
    """Changes the models that serve. Used from the event loop, but for `versions`.

    Parameters
    ----------
    repository
        Where the models lie.
    path
        Of the file that keeps the choices.
    choices
        What it holds.
    shelf
        The editions that are warm.
    loader
        Where others are warmed.
    """

    def __init__(
        self, repository: Path, path: Path, choices: Choices, shelf: Shelf, loader: EngineLoader
    ) -> None:
        self._repository, self._path, self._choices = repository, path, dict(choices)
        self._shelf, self._loader = shelf, loader
        self._restoring = Restoring(repository, shelf, loader)
        self._changing = False

    @property
    def choices(self) -> Choices:
        return self._choices

    def versions(self, name: str) -> list[int]:
        """The versions of a model that can serve; blocks. Empty when its folder is broken."""
        try:
            return versions(self._repository / name)
        except ModelError as error:
            logger.error("%s", error)
            return []

    async def edition_of(
        self, began_with: Sequence[types_pb2.ModelReference]
    ) -> tuple[Edition, Notice | None]:
        """What a scan goes on with, for it to hold; see :meth:`Restoring.edition_of`."""
        return await self._restoring.edition_of(began_with)

    # -- what an operator asks

    async def use(self, name: str, version: int) -> list[VersionChange]:
        """Serve a version of one model to new scans.

        Returns
        -------
        What changed; nothing when it served before.

        Raises
        ------
        ScanError
            NOT_FOUND, FAILED_PRECONDITION when the version cannot be served, RESOURCE_EXHAUSTED
            when the choice cannot be kept, UNAVAILABLE; the models serve on as before.
        """
        return await self._change(partial(self._used, name, version))

    async def roll_back(self, name: str) -> list[VersionChange]:
        """Serve the version that served before; see :meth:`use`.

        Where this is not known, it is the next lower one there is.
        """
        return await self._change(partial(self._rolled_back, name))

    async def reload(self) -> list[VersionChange]:
        """Serve what the repository describes, of every model; see :meth:`use`."""
        return await self._change(self._described)

    # -- what is to serve and to be kept; on the loader's thread, while nothing else changes

    def _used(self, name: str, version: int) -> tuple[Edition, Choices]:
        served, choice = self._served(name).version, self._choice(name)
        if version == served:
            return self._with(name, replace(choice, version=version))
        return self._with(name, choice.moved_on(served, version))

    def _rolled_back(self, name: str) -> tuple[Edition, Choices]:
        served, choice = self._served(name).version, self._choice(name)
        there = versions(self._repository / name)
        earlier = [one for one in choice.before if one in there and one != served]
        candidates = earlier or [version for version in there if version < served]
        if not candidates:
            raise errors.nothing_before(name, served)
        return self._with(name, choice.moved_back(candidates[-1]))

    def _described(self) -> tuple[Edition, Choices]:
        edition = Edition.of(load_repository(self._repository))
        choices = {}
        for spec in edition.specs:
            served, old = self._shelf.edition.spec(spec.name), self._choice(spec.name)
            moved = served is not None and served.version != spec.version
            choices[spec.name] = (
                old.moved_on(served.version, None) if served and moved else Choice(None, old.before)
            )
        return edition, choices

    def _with(self, name: str, choice: Choice) -> tuple[Edition, Choices]:
        spec = load_version(self._repository / name, choice.version or 0)
        return self._shelf.edition.with_spec(spec), {**self._choices, name: choice}

    def _choice(self, name: str) -> Choice:
        return self._choices.get(name, Choice())

    def _served(self, name: str) -> ModelSpec:
        spec = self._shelf.edition.spec(name)
        if spec is None:
            raise errors.unknown_model(name, [one.name for one in self._shelf.edition.specs])
        return spec

    # -- inside

    async def _change(self, chosen: Callable[[], tuple[Edition, Choices]]) -> list[VersionChange]:
        if self._changing:
            raise errors.models_changing()
        self._changing = True
        before = self._shelf.edition
        try:
            edition, self._choices = await self._loader.run(self._switched, chosen)
        except ScanError:
            raise
        except LoadStoppedError as error:
            raise errors.shutting_down() from error
        except TooManyEditionsError as error:
            raise errors.too_many_versions(MOST_EDITIONS) from error
        except MissingVersionError as error:
            raise errors.unknown_version(error) from error
        except ChoicesError as error:
            raise errors.choice_not_kept(error) from error
        except Exception as error:
            logger.exception("the models %s serve on: others cannot be served", before)
            raise errors.models_refused(error) from error
        finally:
            self._changing = False
        return _changes(before, edition)

    def _switched(
        self, chosen: Callable[[], tuple[Edition, Choices]]
    ) -> tuple[Edition, dict[str, Choice]]:
        """Load, keep the choice, then serve; what fails leaves all as it was."""
        edition, choices = chosen()
        if edition == self._shelf.edition:
            self._save(choices)
            return edition, dict(choices)
        hit("models.load")
        self._shelf.prepare(edition)
        try:
            self._save(choices)
            self._serve(edition)
        except BaseException:
            self._shelf.let_go(edition)
            raise
        return edition, dict(choices)

    def _save(self, choices: Choices) -> None:
        save_choices(self._path, self._repository, choices)

    def _serve(self, edition: Edition) -> None:
        hit("models.kept")
        try:
            self._shelf.use(edition)
        except DeviceLostError:
            self._save(self._choices)
            raise


def _changes(before: Edition, now: Edition) -> list[VersionChange]:
    names = sorted({spec.name for spec in (*before.specs, *now.specs)})
    specs = ((name, before.spec(name), now.spec(name)) for name in names)
    return [
        VersionChange(name, old.version if old else 0, new.version if new else 0)
        for name, old, new in specs
        if old != new
    ]
