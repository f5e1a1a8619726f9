"""Which versions of the models an operator chose, kept over restarts in one small file."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from appliance.failpoints import hit
from appliance.storage.errors import ChoicesError
from engines.folder import replace_file

logger = logging.getLogger(__name__)

#: The file's name in the state folder, and its format.
CHOICES_NAME = "models.json"
FORMAT_VERSION = 1
#: Versions of before that are remembered, of one model.
_MOST_BEFORE = 16


@dataclass(frozen=True, slots=True)
class Choice:
    """What is known of one model.

    Parameters
    ----------
    version
        The one that an operator chose; None: the one that the repository describes.
    before
        Those that served before, the last one last.
    """

    version: int | None = None
    before: tuple[int, ...] = ()

    def moved_on(self, served: int, version: int | None) -> Choice:
        """Another version serves; the one that did is the first to come back."""
        before = (*(one for one in self.before if one not in (served, version)), served)
        return Choice(version, before[-_MOST_BEFORE:])

    def moved_back(self, version: int) -> Choice:
        """A version of before serves; those since are not gone back to."""
        before = self.before
        if version in before:
            before = before[: before.index(version)]
        return Choice(version, before)


Choices = Mapping[str, Choice]


def load_choices(path: Path, repository: Path) -> dict[str, Choice]:
    """By model name; a damaged file is set aside, which the log says.

    Parameters
    ----------
    repository
        Where the models lie. Choices among those of another one do not count.

    Raises
    ------
    ChoicesError
        When a newer Breathhold wrote it.
    OSError
        When it cannot be read.
    """
    if not path.exists():
        return {}
    try:
        record = json.loads(path.read_bytes())
        if (version := int(record["format"])) > FORMAT_VERSION:
            raise ChoicesError(
                f"{path} was written by a newer Breathhold (version {version}, this one reads "
                f"version {FORMAT_VERSION}): start the newer one, or move the file away"
            )
        choices = {str(name): _choice(fields) for name, fields in record["models"].items()}
        chosen_of = str(record["repository"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        aside = _free_name(path)
        path.rename(aside)
        logger.error(
            "%s is damaged (%s): it is kept as %s, and the models serve that the repository "
            "describes",
            path.name,
            error,
            aside.name,
        )
        return {}
    if chosen_of != str(repository.absolute()):
        logger.warning("versions were chosen of the models in %s; they do not count", chosen_of)
        return {}
    return choices


def save_choices(path: Path, repository: Path, choices: Choices) -> None:
    """Keep the choices; a crash leaves the old ones or these.

    Raises
    ------
    ChoicesError
        When they cannot be kept; the old ones hold.
    """
    models = {name: asdict(choice) for name, choice in sorted(choices.items())}
    record = {
        "format": FORMAT_VERSION,
        "repository": str(repository.absolute()),
        "models": models,
    }
    try:
        hit("models.keep")
        replace_file(path, json.dumps(record, indent=1).encode() + b"\n")
    except OSError as error:
        raise ChoicesError(f"{path}: {error.strerror}") from error


def _choice(fields: Mapping[str, object]) -> Choice:
    version, before = fields["version"], fields["before"]
    if not isinstance(before, list):
        raise TypeError(f"expected a list of versions, found {before!r}")
    chosen = None if version is None else int(str(version))
    return Choice(chosen, tuple(int(str(one)) for one in before))


def _free_name(path: Path) -> Path:
    names = (path.with_name(f"{path.name}.damaged-{number}") for number in itertools.count(1))
    return next(name for name in names if not name.exists())
