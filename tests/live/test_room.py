"""What the gauges of storage tell."""

from __future__ import annotations

import asyncio
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.config import StorageConfig
from appliance.live.room import watch_room
from appliance.metrics import Metrics
from appliance.storage.choices import CHOICES_NAME, load_choices
from appliance.storage.layout import SpoolFolder
from appliance.storage.recovery import open_results
from appliance.storage.spool import Spool


def watched(state: Path, until: Callable[[Metrics], bool], spool: Spool) -> Metrics:
    """The metrics once they are as they are to be."""
    metrics = Metrics()

    async def watch() -> None:
        config = StorageConfig(state_dir=state, tight_mib=3, full_mib=2)
        watching = asyncio.create_task(watch_room(spool, metrics, config, 0.01))
        for _ in range(500):
            await asyncio.sleep(0.01)
            if until(metrics):
                break
        watching.cancel()

    asyncio.run(watch())
    spool.close()
    return metrics


def test_room_is_told_beside_what_is_wanted(tmp_path: Path) -> None:
    metrics = watched(tmp_path, lambda told: told.free_bytes._value.get() > 0, Spool(tmp_path))
    free = metrics.free_bytes._value.get()
    assert free == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.2)
    assert metrics.tight_bytes._value.get() == 3 * 2**20
    assert metrics.full_bytes._value.get() == 2 * 2**20


def aside(metrics: Metrics) -> dict[str, float]:
    (family,) = metrics.set_aside.collect()
    return {sample.labels["what"]: sample.value for sample in family.samples}


def test_what_was_damaged_and_set_aside_is_counted_as_long_as_it_lies_there(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    folder = SpoolFolder(tmp_path / "spool")
    for _ in range(2):
        (tmp_path / "spool" / "abc").mkdir(exist_ok=True)
        folder.begin_salvage("abc")
        folder.exchange("abc")
    (tmp_path / "results.sqlite").write_bytes(b"nonsense" * 1000)
    (tmp_path / "results.sqlite-wal").write_bytes(b"nonsense")
    open_results(tmp_path / "results.sqlite").close()
    (tmp_path / CHOICES_NAME).write_text("nonsense")
    load_choices(tmp_path / CHOICES_NAME, tmp_path)
    metrics = watched(tmp_path, lambda told: len(aside(told)) == 3, spool)
    assert aside(metrics) == {"log": 2, "results": 1, "choices": 1}
    for path in [*tmp_path.glob("*.damaged-*")]:
        path.unlink()
    metrics = watched(tmp_path, lambda told: len(aside(told)) == 3, Spool(tmp_path))
    assert aside(metrics) == {"log": 2, "results": 0, "choices": 0}


def test_room_that_cannot_be_told_is_not_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Else a disk that does not answer would be taken for a full one."""

    def fail(_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(shutil, "disk_usage", fail)
    metrics = watched(tmp_path, lambda _: "cannot be told" in caplog.text, Spool(tmp_path))
    assert math.isnan(metrics.free_bytes._value.get())
    assert "cannot be told" in caplog.text
