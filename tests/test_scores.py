"""Scores of phantoms against their truth."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from appliance.inference.volume import score_volume
from appliance.quantify.lobes import LobeScores
from appliance.quantify.regions import Region
from calibration.phantom import Lobe
from calibration.scores import Engines, PhantomScores, overall, score_phantom, slices_of
from engines.parts import LOBE_NAMES
from tests.box import Box, send_scan
from tests.daemon.test_lobes import OPEN
from tests.inference.test_volume import made_slices
from tests.made_scans import raw_slices
from tests.made_series import made_phantom
from tests.tiny_models import write_lobes_repository, write_tiny_repository


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lobes_repository(tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="module")
def engines(repository: Path) -> Engines:
    return Engines.load(repository)


def test_a_volume_is_scored_as_the_daemon_scores_it(
    engines: Engines, repository: Path, tmp_path: Path
) -> None:
    with Box(tmp_path, repository) as box:
        report = send_scan(box.grpc, OPEN, raw_slices(60)).final_report
    slices = made_slices(60, 5.0)
    summary = score_volume(slices, engines.segmenter, engines.policy, [engines.lobes])
    assert summary.scores.po == report.scores.po
    lobes = summary.findings.lobes
    assert lobes is not None
    assert lobes.scores.lss == report.lss
    assert [lobe.lung_ml for lobe in lobes.lobes] == [lobe.lung_ml for lobe in report.lobes]
    densities = summary.findings.densities
    assert densities is not None
    assert densities.lung == tuple(report.lung_histogram.ml)
    assert densities.normal is None


def test_without_a_finder_there_are_no_lobes(engines: Engines) -> None:
    summary = score_volume(made_slices(60, 5.0), engines.segmenter, engines.policy)
    assert summary.findings.lobes is None
    assert summary.findings.densities is not None


def test_a_phantom_is_scored_beside_its_truth(engines: Engines) -> None:
    phantom = made_phantom(30)
    lobes = np.array(phantom.lung)
    lobes[:, :, 32:] *= np.uint8(Lobe.LEFT_UPPER)
    lobes[:, :, :32] *= np.uint8(Lobe.RIGHT_LOWER)
    scored = score_phantom(replace(phantom, lobes=lobes), engines)
    assert scored.po == pytest.approx((phantom.po, phantom.po), abs=10)
    true = {lobe.name: lobe.lung_ml for lobe in scored.true_lobes}
    assert true["left_upper_lobe"] > 0
    assert true["right_upper_lobe"] == 0
    assert scored.truth.lss == sum(bool(lobe.lesion_ml) for lobe in scored.true_lobes)
    assert len(slices_of(phantom)) == 30


def test_a_repository_without_lobes_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no lobes model"):
        Engines.load(write_tiny_repository(tmp_path))


def test_exact_scores_are_counted() -> None:
    true = tuple(Region(name, 1000.0, 0.0, 0.0) for name in LOBE_NAMES)
    found = (Region(LOBE_NAMES[0], 900.0, 0.0, 0.0), *true[1:])
    right = PhantomScores(1, LobeScores(5, 2, 7), LobeScores(5, 2, 7), (10, 11), (1, 1), true, true)
    wrong = replace(right, found=LobeScores(7, 2, 6), found_lobes=found)
    result = json.loads(json.dumps(overall([right, wrong])))
    assert result["phantoms"] == 2
    assert result["lss"] == {"exact": 1, "off_mean": 1.0, "off_max": 2}
    assert result["lhos"]["exact"] == 2
    assert result["ct_score"]["off_max"] == 1
    assert result["po_error_mean"] == 1.0
    assert result["lobe_volume_error_percent"]["within_5"] == 0.9
    assert result["lobe_volume_error_percent"]["median"][LOBE_NAMES[0]] == 5.0
