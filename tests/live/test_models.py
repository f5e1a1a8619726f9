"""Which versions serve, while operators come at once and files change in their places."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from appliance.inference.loader import EngineLoader
from appliance.inference.serving import DeviceState
from appliance.inference.shelf import Shelf
from appliance.live import models
from appliance.live.errors import ScanError
from appliance.live.models import ServedModels, VersionChange
from appliance.live.wire import model_reference
from appliance.scan.verdicts import NoticeReason
from appliance.storage.choices import CHOICES_NAME, Choice, Choices, load_choices, save_choices
from breathhold.v1 import types_pb2
from engines.runtimes import DeviceLostError
from engines.versions import load_version
from tests.bench_runtime import Registering
from tests.inference.test_pool import Room
from tests.tiny_models import add_lesion_version, write_tiny_repository


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = write_tiny_repository(tmp_path / "models")
    add_lesion_version(folder, 2, -480.0)
    add_lesion_version(folder, 3, -520.0)
    return folder


class Served:
    """The models of a repository on a device that is warm."""

    def __init__(self, repository: Path, choices: dict[str, Choice], runtime: str) -> None:
        self.path = repository.parent / CHOICES_NAME
        self.room = Room(repository, runtime=runtime)
        self.loader = EngineLoader()
        self.models = ServedModels(repository, self.path, choices, self.shelf, self.loader)

    @property
    def shelf(self) -> Shelf:
        return self.room.pool.shelf

    @property
    def lesion(self) -> int:
        spec = self.shelf.edition.spec("lesion")
        assert spec is not None
        return spec.version


@contextmanager
def served_of(
    repository: Path, choices: dict[str, Choice] | None = None, runtime: str = "openvino"
) -> Iterator[Served]:
    served = Served(repository, choices or {}, runtime)
    try:
        with served.room.running():
            yield served
    finally:
        served.loader.close()


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_version_that_comes_while_another_is_gone_back_to_is_refused(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the way back would lead from a version that serves no more."""
    looking, look = threading.Event(), threading.Event()

    def slow_versions(model: Path) -> list[int]:
        looking.set()
        assert look.wait(30)
        return [1, 2, 3]

    async def both(served: Served) -> list[VersionChange]:
        await served.models.use("lesion", 2)
        monkeypatch.setattr(models, "versions", slow_versions)
        going_back = asyncio.create_task(served.models.roll_back("lesion"))
        await asyncio.to_thread(looking.wait, 30)
        try:
            with pytest.raises(ScanError) as refused:
                await served.models.use("lesion", 3)
            assert refused.value.reason == "MODELS_CHANGING"
        finally:
            look.set()
        return await going_back

    with served_of(repository) as served:
        assert asyncio.run(both(served)) == [VersionChange("lesion", 2, 1)]
        assert served.lesion == 1


def test_a_version_that_changed_in_its_place_is_told(repository: Path) -> None:
    async def changes(served: Served) -> list[list[VersionChange]]:
        edit(repository / "lesion" / "spec.toml", "threshold = 0.5", "threshold = 0.75")
        return [await served.models.reload(), await served.models.reload()]

    with served_of(repository) as served:
        (change,), nothing = asyncio.run(changes(served))
        assert change == VersionChange("lesion", 1, 1)
        assert str(change) == "lesion: version 1 serves new scans as its folder is now"
        assert nothing == []


def test_a_folder_that_is_broken_is_named_when_nothing_can_be_gone_back_to(
    repository: Path,
) -> None:
    with served_of(repository) as served:
        asyncio.run(served.models.use("lesion", 2))
        (repository / "lesion" / "spec.toml").write_text("version = ")
        with pytest.raises(ScanError, match=r"lesion/spec\.toml") as refused:
            asyncio.run(served.models.roll_back("lesion"))
        assert refused.value.reason == "MODELS_REFUSED"
        assert served.lesion == 2


def test_a_device_that_is_lost_in_the_middle_of_a_change_leaves_choice_and_models(
    repository: Path, bench: Registering, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench(a="x")
    saved: list[Choices] = []

    with served_of(repository, runtime="bench") as served:
        pool, before = served.room.pool, served.shelf.edition

        def save(path: Path, models: Path, choices: Choices) -> None:
            save_choices(path, models, choices)
            if not saved:
                pool._lose(pool._places[0], (), DeviceLostError("it is gone"))
            saved.append(choices)

        monkeypatch.setattr(models, "save_choices", save)
        with pytest.raises(ScanError, match="was lost meanwhile") as refused:
            asyncio.run(served.models.use("lesion", 2))
        assert refused.value.reason == "MODELS_REFUSED"
        assert saved == [{"lesion": Choice(2, (1,))}, {}]
        assert load_choices(served.path, repository) == {}
        assert list(served.shelf.held) == [before]
        served.room.await_state("cpu", DeviceState.SERVING)
        assert served.lesion == 1
        asyncio.run(served.models.use("lesion", 2))
        assert served.lesion == 2


def references(repository: Path, **versions: int) -> list[types_pb2.ModelReference]:
    """What a scan notes that began with these versions."""
    specs = [
        load_version(repository / name, version)
        for name, version in {"lung": 1, **versions}.items()
    ]
    return [
        types_pb2.ModelReference(
            name=spec.name, version=spec.version, sha256=spec.artefacts[0].sha256
        )
        for spec in specs
    ]


def test_so_many_editions_are_warm_and_no_more(repository: Path) -> None:
    """Scans that were begun with each of some versions hold their engines in memory."""
    for version in (4, 5):
        add_lesion_version(repository, version, -500.0 - version)
    with served_of(repository) as served:
        scans = [served.shelf.hold()]
        for version in (2, 3, 4):
            asyncio.run(served.models.use("lesion", version))
            scans.append(served.shelf.hold())
        with pytest.raises(ScanError) as refused:
            asyncio.run(served.models.use("lesion", 5))
        assert refused.value.reason == "TOO_MANY_VERSIONS"
        assert served.lesion == 4
        fifth = references(repository, lesion=5)
        edition, notice = asyncio.run(served.models.edition_of(fifth))
        assert edition == served.shelf.edition
        assert notice is not None
        assert notice.reason is NoticeReason.MODELS_REPLACED
        served.shelf.let_go(edition)
        asyncio.run(served.models.roll_back("lesion"))
        assert served.lesion == 3
        served.shelf.let_go(scans[0])
        asyncio.run(served.models.use("lesion", 5))
        assert served.lesion == 5


def test_a_scan_goes_on_with_what_is_warm_whatever_became_of_its_folder(repository: Path) -> None:
    with served_of(repository) as served:
        began_with = served.shelf.hold()
        engines = served.shelf.serving_of(began_with).engines.values()
        began = [model_reference(engine) for engine in engines]
        asyncio.run(served.models.use("lesion", 2))
        shutil.rmtree(repository / "lesion" / "1")
        served.loader.close()
        found = asyncio.run(served.models.edition_of(began))
        assert found == (began_with, None)
        served.shelf.let_go(began_with)
        assert began_with in served.shelf.held
        served.shelf.let_go(began_with)
        assert began_with not in served.shelf.held


def test_a_reload_forgets_choices_of_models_that_are_gone(repository: Path) -> None:
    with served_of(repository, {"airways": Choice(4, (3,)), "lesion": Choice(1, ())}) as served:
        assert asyncio.run(served.models.reload()) == []
        assert load_choices(served.path, repository) == {"lesion": Choice(), "lung": Choice()}
