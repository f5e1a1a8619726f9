"""``python -m calibration.scores``: every score of phantoms against their truth, as JSON.

Each phantom goes the daemon's way in memory; only network and disk are left out.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from appliance.inference.volume import score_volume
from appliance.ingest.digest import digest_slice
from appliance.quantify.lobes import LobeScores, lobe_scores
from appliance.quantify.regions import Region
from appliance.scan.geometry import SliceGeometry
from appliance.scan.scan import ScanPolicy
from appliance.scan.slice import Slice, SliceHeader
from calibration.evaluation import load_engines
from calibration.phantom.phantom import Phantom, Section, make_phantom
from calibration.phantom.truth import lobe_truth, truth_of
from engines.divider import Divider, load_dividers
from engines.models import SHIPPED, load_repository
from engines.parts import LOBE_NAMES
from engines.runtimes import choose
from engines.segmenter import Segmenter

_AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


@dataclass(frozen=True, slots=True)
class Engines:
    """What scores phantoms."""

    segmenter: Segmenter
    policy: ScanPolicy
    lobes: Divider

    @classmethod
    def load(cls, repository: Path = SHIPPED) -> Engines:
        """Those of a repository.

        Raises
        ------
        ModelError, RuntimeUnavailableError
            When they cannot be served.
        ValueError
            When there is no lobes model.
        """
        dividers = load_dividers(load_repository(repository), choose(), ("lobes",))
        if not dividers:
            raise ValueError(f"{repository} holds no lobes model")
        return cls(*load_engines(repository), dividers[0])


@dataclass(frozen=True, slots=True)
class PhantomScores:
    """What was found of one phantom, and its truth: scores, PO, PHO, and lobes."""

    seed: int
    found: LobeScores
    truth: LobeScores
    po: tuple[float, float]
    pho: tuple[float, float]
    found_lobes: tuple[Region, ...]
    true_lobes: tuple[Region, ...]

    @property
    def volume_errors_percent(self) -> list[float]:
        """Of the five lobes, against their true volumes."""
        pairs = zip(self.found_lobes, self.true_lobes, strict=True)
        return [100 * (found.lung_ml - true.lung_ml) / true.lung_ml for found, true in pairs]


def score_phantom(phantom: Phantom, engines: Engines) -> PhantomScores:
    """Score a phantom of the chest.

    Raises
    ------
    VolumeError
        When it cannot be inferred.
    ValueError
        When it has no lung, or none was found.
    """
    true_lobes, (true_po, true_pho) = lobe_truth(phantom), truth_of(phantom)
    dividers = (engines.lobes,)
    summary = score_volume(slices_of(phantom), engines.segmenter, engines.policy, dividers)
    scores, lobes = summary.scores, summary.findings.lobes
    if None in (true_po, true_pho) or scores.po is None or scores.pho is None or lobes is None:
        raise ValueError(f"phantom {phantom.seed} has no lung, or none was found")
    return PhantomScores(
        phantom.seed,
        lobes.scores,
        lobe_scores(true_lobes),
        (scores.po, float(true_po or 0)),
        (scores.pho, float(true_pho or 0)),
        lobes.lobes,
        true_lobes,
    )


def slices_of(phantom: Phantom) -> list[Slice]:
    """A phantom as a scanner would have sent it, foot to head."""
    series = f"2.25.{phantom.seed}"
    dz, dy, dx = phantom.spacing
    rows, columns = phantom.hu.shape[1:]
    slices = []
    for number, plane in enumerate(phantom.hu):
        position = (-dx * columns / 2, -dy * rows / 2, number * dz)
        geometry = SliceGeometry(position, _AXIAL, (dy, dx), rows, columns, dz)
        hu = np.ascontiguousarray(plane)
        header = SliceHeader(
            f"{series}.{number + 1}", series, "", geometry, digest_slice(hu, geometry)
        )
        slices.append(Slice(header, hu))
    return slices


def overall(scored: list[PhantomScores]) -> dict[str, object]:
    """How many scores are exact, how far the others lie off, and the errors of lobe volumes."""
    errors = np.abs([one.volume_errors_percent for one in scored])
    result: dict[str, object] = {"phantoms": len(scored)}
    for name in ("lss", "lhos", "ct_score"):
        off = [abs(getattr(one.found, name) - getattr(one.truth, name)) for one in scored]
        result[name] = {"exact": off.count(0), "off_mean": float(np.mean(off)), "off_max": max(off)}
    for name in ("po", "pho"):
        moved = [abs(found - true) for found, true in (getattr(one, name) for one in scored)]
        result[f"{name}_error_mean"] = round(float(np.mean(moved)), 3)
    median = np.median(errors, axis=0)
    result["lobe_volume_error_percent"] = {
        "median": dict(zip(LOBE_NAMES, np.round(median, 2).tolist(), strict=True)),
        "mean": round(float(errors.mean()), 2),
        "within_5": round(float((errors <= 5).mean()), 3),
    }
    return result


def _line(one: PhantomScores) -> dict[str, object]:
    pairs = zip(one.found_lobes, one.true_lobes, strict=True)
    return {
        "seed": one.seed,
        "found": asdict(one.found),
        "truth": asdict(one.truth),
        "po": [round(value, 2) for value in one.po],
        "pho": [round(value, 2) for value in one.pho],
        "lobes": {
            found.name: [round(value or 0, 2) for value in (found.po, true.po, found.pho, true.pho)]
            for found, true in pairs
        },
        "volume_error_percent": [round(value, 1) for value in one.volume_errors_percent],
    }


def _phantoms(seeds: Iterable[int], section: Section, matrix: int) -> Iterable[Phantom]:
    for seed in seeds:
        yield make_phantom(seed, section=section, matrix=matrix)


def main(arguments: list[str] | None = None) -> None:
    """Score phantoms as the command line says; one line each on stderr, the whole on stdout."""
    parser = argparse.ArgumentParser(prog="python -m calibration.scores", description=__doc__)
    parser.add_argument("--phantoms", type=int, default=100, help="how many")
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--section", choices=[one.value for one in Section], default="thick")
    parser.add_argument("--matrix", type=int, default=512)
    parser.add_argument("--repository", type=Path, default=SHIPPED)
    given = parser.parse_args(arguments)
    engines = Engines.load(given.repository)
    seeds = range(given.first_seed, given.first_seed + given.phantoms)
    scored = []
    for phantom in _phantoms(seeds, Section(given.section), given.matrix):
        scored.append(score_phantom(phantom, engines))
        print(json.dumps(_line(scored[-1])), file=sys.stderr, flush=True)
    print(json.dumps(overall(scored), indent=1))


if __name__ == "__main__":
    main()
