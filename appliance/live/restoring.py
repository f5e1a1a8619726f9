"""Scans that are taken up again go on with the models that they began with."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

from appliance.inference.editions import Edition
from appliance.inference.loader import EngineLoader
from appliance.inference.shelf import Shelf
from appliance.live import errors
from appliance.scan.verdicts import Notice, NoticeReason
from breathhold.v1 import types_pb2
from engines.models import ModelError
from engines.stopping import LoadStoppedError
from engines.versions import load_version

logger = logging.getLogger(__name__)


class Restoring:
    """Finds editions of before. Used from the event loop.

    Parameters
    ----------
    repository
        Where the models lie.
    shelf
        The editions that are warm.
    loader
        Where others are warmed.
    """

    def __init__(self, repository: Path, shelf: Shelf, loader: EngineLoader) -> None:
        self._repository, self._shelf, self._loader = repository, shelf, loader

    async def edition_of(
        self, began_with: Sequence[types_pb2.ModelReference]
    ) -> tuple[Edition, Notice | None]:
        """The edition that a scan began with, for it to hold; and what its report is to say.

        Where it cannot be served any more, the scan is inferred from its first slice with what
        serves now, so that its report does not mix versions.

        Raises
        ------
        ScanError
            UNAVAILABLE, when the daemon stops meanwhile.
        """
        serving = self._shelf.hold()
        if not began_with or _is(serving, began_with):
            return serving, None
        if warm := self._shelf.hold_warm(lambda edition: _is(edition, began_with)):
            self._shelf.let_go(serving)
            return warm, None
        try:
            edition = await self._loader.run(self._restored, began_with)
        except LoadStoppedError as error:
            self._shelf.let_go(serving)
            raise errors.shutting_down() from error
        except Exception:
            logger.exception("a scan goes on with other models than it began with")
            return serving, _replaced(began_with, serving)
        self._shelf.let_go(serving)
        return edition, None

    def _restored(self, references: Sequence[types_pb2.ModelReference]) -> Edition:
        """An edition of before, warm and held."""
        specs = [load_version(self._repository / one.name, one.version) for one in references]
        edition = Edition.of(specs)
        if not _is(edition, references):
            raise ModelError(f"the files of {edition} are others than they were")
        self._shelf.prepare(edition)
        return edition


def _is(edition: Edition, references: Sequence[types_pb2.ModelReference]) -> bool:
    """Whether the models are those of the edition, with the files that ran."""
    specs = {spec.name: spec for spec in edition.specs}
    return specs.keys() == {one.name for one in references} and all(
        specs[one.name].version == one.version
        and one.sha256 in {artefact.sha256 for artefact in specs[one.name].artefacts}
        for one in references
    )


def _replaced(began_with: Iterable[types_pb2.ModelReference], edition: Edition) -> Notice:
    models = ", ".join(f"{one.name} {one.version}" for one in began_with)
    return Notice(
        NoticeReason.MODELS_REPLACED,
        f"The scan began with the models {models}, which can no longer be served; all of it was "
        f"inferred with {edition}.",
    )
