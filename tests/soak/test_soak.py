"""The soak's own measuring, on a small daemon."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from breathhold.v1 import scan_pb2 as pb
from tests.faults.killing import PLACES
from tests.faults.lives import Life
from tests.made_scans import raw_slices
from tests.soak import kills
from tests.soak.__main__ import main
from tests.soak.console import Console
from tests.soak.figures import Figure, Found, quantile
from tests.soak.watching import most_resident, taken
from tests.tiny_models import write_tiny_repository

OPEN = pb.OpenScan(series_instance_uid="1.2.3", station="CT1")


def test_a_console_notes_each_answer(tmp_path: Path) -> None:
    slices = raw_slices(12, 20.0)
    other = raw_slices(1, series="9.9")[0]
    other.sequence, other.raw.columns = 13, 32
    repository = write_tiny_repository(tmp_path / "models")
    with Life(tmp_path / "state", repository) as life:
        sent = Console(OPEN, [*slices, other], 30.0).send(life.grpc)
        now, most = taken(life.process.pid), most_resident(life.process.pid)
    assert len(sent.acks_s) == 12
    assert 0 < min(sent.acks_s) <= max(sent.acks_s) < 30
    assert len(sent.refused) == 1
    assert sent.report is not None
    assert sent.report.slices == 12
    assert len(sent.faults) == 1
    assert 50e6 < now.resident <= most
    assert now.files > 5
    assert now.threads > 5


def test_a_console_without_a_daemon_says_so() -> None:
    assert "got no report" in Console(OPEN, [], None).send("127.0.0.1:1").faults[0]


def test_a_figure_beyond_its_promise_is_a_miss() -> None:
    assert Figure("one", 2.0, "s", 2.0).kept
    assert Figure("one", 9.0, "s").kept
    assert "MISSED" in str(Figure("one", 2.1, "s", 2.0))
    assert not Found([Figure("one", 2.1, "s", 2.0)]).kept
    assert not Found([], ["a slice was refused"]).kept


@pytest.mark.parametrize(("share", "value"), [(0.5, 51.0), (0.99, 100.0), (0.0, 1.0)])
def test_quantiles_are_values_that_were_measured(share: float, value: float) -> None:
    assert quantile([float(number) for number in range(100, 0, -1)], share) == value


def test_kills_go_on_where_they_were_broken_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "kills.jsonl"
    record = kills._Record(path)
    assert record.missing(3) == [0, 1, 2]
    entry = {"seed": 1, "seconds": 2.0, "kills": 20, "scans": 3, "acknowledged": 9}
    record.add(entry | {"places": {"ack": 20}})
    again = kills._Record(path)
    assert again.missing(3) == [0, 2]
    assert again.total("kills") == 20
    assert again.places() == Counter(ack=20)
    monkeypatch.setattr(kills, "_sources", lambda: "changed")
    assert kills._Record(path).missing(3) == [0, 1, 2]


@pytest.mark.parametrize(("killed", "kept"), [(180, True), (200, False)])
def test_of_enough_kills_each_place_must_be_hit(tmp_path: Path, killed: int, kept: bool) -> None:
    record = kills._Record(tmp_path / "kills.jsonl")
    entry = {"seed": 1, "seconds": 2.0, "kills": killed, "scans": 3, "acknowledged": 9}
    record.add(entry | {"places": {place: 9 for place in PLACES if place != "spool.sync"}})
    assert all(figure.kept for figure in kills._figures(record, [])) is kept
    record.add(entry | {"seed": 2, "places": {"spool.sync": 1}})
    assert all(figure.kept for figure in kills._figures(record, []))


def test_an_unknown_part_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["naps"])
    assert "there is no part naps" in capsys.readouterr().err
