"""Plans on disk: found only when they are what their record says, never half written."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path

import pytest

from engines.artefacts import ModelError
from engines.folder import default_folder
from engines.models import ModelSpec, half, load_spec
from engines.runtimes.tensorrt.cache import PlanCache, PlanKey
from engines.runtimes.tensorrt.flavours import TENSORRT_RTX
from engines.runtimes.tensorrt.plans import Plan, ensure_plan
from tests.tiny_models import write_tiny_repository

KEY = PlanKey("lung", "ab" * 32, "int8", "tensorrt-rtx", "1.7", "sm_89", (1, 64, 64), (1, 8))
OTHER = {
    "model": "lesion",
    "source": "cd" * 32,
    "precision": "fp16",
    "runtime": "tensorrt",
    "version": "1.8",
    "target": "sm_120",
    "slab": (3, 64, 64),
    "batches": (1, 4),
    "recipe": 2,
}


@pytest.fixture
def cache(tmp_path: Path) -> PlanCache:
    return PlanCache(tmp_path / "engines")


def test_a_plan_is_found_again(cache: PlanCache) -> None:
    assert cache.find(KEY) is None
    path = cache.keep(KEY, b"plan")
    assert path.name.startswith("lung.int8.tensorrt-rtx-1.7.sm_89.")
    assert PlanCache(cache.folder).find(KEY) == b"plan"


@pytest.mark.parametrize("field", [field.name for field in fields(PlanKey)])
def test_another_key_has_another_plan(field: str, cache: PlanCache) -> None:
    cache.keep(KEY, b"plan")
    other = replace(KEY, **{field: OTHER[field]})
    assert cache.find(other) is None
    cache.keep(other, b"other plan")
    assert (cache.find(KEY), cache.find(other)) == (b"plan", b"other plan")


def corrupt(path: Path) -> None:
    path.write_bytes(b"plaN")


def cut(path: Path) -> None:
    path.write_bytes(b"")


def foreign(path: Path) -> None:
    other = PlanCache(path.parent / "other").keep(replace(KEY, target="sm_120"), b"sm_120")
    for suffix in (".plan", ".json"):
        shutil.copy(other.with_suffix(suffix), path.with_suffix(suffix))


def unreadable(path: Path) -> None:
    path.with_suffix(".json").write_text("{")


def unrecorded(path: Path) -> None:
    path.with_suffix(".json").unlink()


@pytest.mark.parametrize("damage", [corrupt, cut, foreign, unreadable, unrecorded])
def test_what_is_not_the_recorded_plan_is_not_served(
    damage: Callable[[Path], None], cache: PlanCache
) -> None:
    path = cache.keep(KEY, b"plan")
    damage(path)
    assert cache.find(KEY) is None
    cache.keep(KEY, b"plan")
    assert cache.find(KEY) == b"plan"


def test_a_write_that_fails_leaves_the_old_plan(
    cache: PlanCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = cache.keep(KEY, b"plan")
    before = sorted(cache.folder.iterdir())

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        cache.keep(KEY, b"new plan")
    assert cache.find(KEY) == b"plan"
    assert sorted(cache.folder.iterdir()) == before
    assert path.read_bytes() == b"plan"


def test_timings_are_kept_for_a_library_and_a_gpu(cache: PlanCache) -> None:
    assert cache.timings(KEY) == b""
    cache.keep_timings(KEY, b"")
    assert not cache.folder.exists()
    cache.keep_timings(KEY, b"times")
    assert cache.timings(replace(KEY, model="lesion", precision="fp16")) == b"times"
    assert cache.timings(replace(KEY, version="1.8")) == b""


def test_only_the_owner_may_write_what_is_kept(cache: PlanCache) -> None:
    before = os.umask(0o002)
    try:
        path = cache.keep(KEY, b"plan")
        with cache.locked():
            pass
    finally:
        os.umask(before)
    for kept in (cache.folder, path, path.with_suffix(".json"), cache.folder / ".lock"):
        assert not kept.stat().st_mode & 0o022, kept
    assert (cache.folder / ".lock").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o1777])
def test_a_folder_that_others_may_write_to_is_not_used(mode: int, cache: PlanCache) -> None:
    cache.keep(KEY, b"plan")
    cache.folder.chmod(mode)
    with pytest.raises(ModelError, match=f"others may write to {cache.folder}"):
        cache.find(KEY)
    with pytest.raises(ModelError, match="chmod go-w"), cache.locked():
        pytest.fail("nothing may be built there")
    cache.folder.chmod(0o755)
    assert cache.find(KEY) == b"plan"


def test_one_builds_at_a_time(cache: PlanCache) -> None:
    entered = threading.Event()

    def second() -> None:
        with PlanCache(cache.folder).locked():
            entered.set()

    thread = threading.Thread(target=second)
    with cache.locked():
        thread.start()
        assert not entered.wait(0.1)
    thread.join(30)
    assert entered.is_set()


def test_where_plans_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BREATHHOLD_ENGINES", "CACHE_DIRECTORY", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/box")
    assert default_folder() == Path("/home/box/.cache/breathhold/engines")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert default_folder() == Path("/cache/breathhold/engines")
    monkeypatch.setenv("CACHE_DIRECTORY", "/var/cache/breathhold")
    assert default_folder() == Path("/var/cache/breathhold/engines")
    monkeypatch.setenv("BREATHHOLD_ENGINES", "/elsewhere")
    assert default_folder() == Path("/elsewhere")


@pytest.fixture
def spec(tmp_path: Path) -> ModelSpec:
    return load_spec(write_tiny_repository(tmp_path / "repository") / "lung")


def ensured(spec: ModelSpec, cache: PlanCache, *, again: bool = False) -> Plan:
    return ensure_plan(TENSORRT_RTX, spec, half(spec), cache, "sm_89", again=again)


def test_a_plan_is_built_once_and_again_when_it_is_corrupt(
    spec: ModelSpec, cache: PlanCache
) -> None:
    first = ensured(spec, cache)
    assert first.built
    assert first.key.precision == "fp16"
    assert first.key.source == spec.artefact("fp32").sha256
    second = ensured(spec, cache)
    assert not second.built
    assert second.content == first.content == first.path.read_bytes()
    corrupt(first.path)
    assert ensured(spec, cache).built
    assert not ensured(spec, cache).built
    assert ensured(spec, cache, again=True).built


def test_two_that_want_a_plan_build_it_once(spec: ModelSpec, cache: PlanCache) -> None:
    with ThreadPoolExecutor(2) as pool:
        plans = list(pool.map(lambda _: ensured(spec, cache), range(2)))
    assert sorted(plan.built for plan in plans) == [False, True]
    assert plans[0].content == plans[1].content


def test_a_model_that_is_not_the_recorded_one_leaves_the_old_plan(
    spec: ModelSpec, cache: PlanCache
) -> None:
    old = ensured(spec, cache)
    with spec.artefact("fp32").path.open("ab") as file:
        file.write(b"!")
    with pytest.raises(ModelError, match=r"spec\.toml records"):
        ensured(spec, cache, again=True)
    assert cache.find(old.key) == old.content
