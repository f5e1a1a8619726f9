"""Which systems there are, and a model repository of each, made from training runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from engines.models import SECTIONS

_RECORD = "training.json"


class SystemsError(Exception):
    """Runs or systems that cannot be compared; the message says which and why."""


@dataclass(frozen=True, slots=True)
class System:
    """The lung and the lesion network of one paper.

    Parameters
    ----------
    name
        Of its repository, of its lesion model and of the run that is exported as that.
    title, paper
        For people.
    lung
        Of the lung model and its run. Papers whose lung is no network of their own
        here share one.
    """

    name: str
    title: str
    paper: str
    lung: str = "lung"

    @property
    def models(self) -> tuple[str, str]:
        """Its lung and its lesion model."""
        return self.lung, self.name


SYSTEMS = (
    System("vbnet", "VB-Net", "Shan, Gao et al. 2020"),
    System("unet25d", "2.5-D U-Net, ResNet-34", "Li, Zhong et al. 2020"),
    System("denseunet", "anisotropic DenseUNet", "Chaganti, Grenier et al. 2020"),
    System("colinet", "COLI-Net", "Shiri et al. 2021", lung="colinet_lung"),
    System("covidlesionnet", "COVID-Lesion Net", "Pan et al. 2020"),
)


@dataclass(frozen=True, slots=True)
class Spent:
    """What one network's training took: minutes and steps."""

    minutes: float
    steps: int


@dataclass(frozen=True, slots=True)
class Training:
    """How a system's networks were trained.

    Parameters
    ----------
    held_out
        Patients that none of them saw.
    spent
        By model.
    """

    held_out: tuple[str, ...]
    spent: Mapping[str, Spent]

    def write(self, repository: Path) -> None:
        content = json.dumps(asdict(self), indent=1)
        (repository / _RECORD).write_text(content + "\n", encoding="utf-8")

    @classmethod
    def read(cls, repository: Path) -> Training:
        """Of a system's repository; SystemsError when it does not say."""
        path = repository / _RECORD
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            spent = {name: Spent(**fields) for name, fields in content["spent"].items()}
            return cls(tuple(content["held_out"]), spent)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SystemsError(f"{path} does not say how it was trained: {error!r}") from error


def make_repository(system: System, runs: Path, repository: Path) -> None:
    """Export a system's runs into a model repository, which ``breathhold serve`` takes as it is.

    Parameters
    ----------
    system
        Whose.
    runs
        Folder with one training run a model.
    repository
        Folder to make.

    Raises
    ------
    SystemsError
        When a run is missing, or its runs leave out nobody, or not the same patients.
    """
    from engines.training.export import export

    training = _training(system, runs)
    for name in system.models:
        export(runs / name, repository / name, sections=SECTIONS)
    training.write(repository)


def _training(system: System, runs: Path) -> Training:
    from engines.training.state import load_checkpoint, load_recipe

    left_out, spent = set(), {}
    for name in system.models:
        run = runs / name
        content = load_checkpoint(run)
        if content is None:
            raise SystemsError(f"{run} holds no training run; {system.title} needs it")
        left_out.add(tuple(load_recipe(run).held_out))
        spent[name] = Spent(round(content["spent_s"] / 60, 1), content["step"])
    held_out = next(iter(left_out))
    if len(left_out) != 1 or not held_out:
        raise SystemsError(f"the runs of {system.title} must leave out the same patients")
    return Training(held_out, spent)


def systems_in(folder: Path) -> Sequence[System]:
    """The systems that have a repository in a folder.

    Raises
    ------
    SystemsError
        When there is none.
    """
    found = [system for system in SYSTEMS if (folder / system.name).is_dir()]
    if not found:
        names = ", ".join(system.name for system in SYSTEMS)
        raise SystemsError(f"{folder}: no system found (a folder called {names})")
    return found
