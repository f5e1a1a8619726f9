"""The words to the service manager, one by one."""

from __future__ import annotations

import asyncio
import os
import resource
from pathlib import Path

import pytest

from appliance import notify
from appliance.notify import ServiceManager, keep_told, more_time
from tests.notify_socket import NotifySocket


@pytest.mark.parametrize("abstract", [False, True])
def test_every_word_arrives(tmp_path: Path, abstract: bool) -> None:
    address = f"@breathhold-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with NotifySocket(address) as heard:
        manager = ServiceManager(address, watchdog_s=4.0)
        manager.starting("engines warm up", 30)
        manager.ready("serving")
        manager.serving("well", alive=True)
        manager.serving("ill", alive=False)
        manager.stopping(12.5)
        heard.await_all(5)
    assert heard.messages == [
        {"STATUS": "engines warm up", "EXTEND_TIMEOUT_USEC": "30000000"},
        {"READY": "1", "STATUS": "serving"},
        {"STATUS": "well", "WATCHDOG": "1"},
        {"STATUS": "ill"},
        {"STOPPING": "1", "STATUS": "Stopping", "EXTEND_TIMEOUT_USEC": "12500000"},
    ]


def test_nobody_asked_nobody_told() -> None:
    manager = ServiceManager.from_environment({})
    assert manager == ServiceManager(None, None)
    manager.ready("serving")


def test_a_manager_that_is_gone_is_no_fault_of_the_daemon(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ServiceManager(str(tmp_path / "gone")).ready("serving")
    assert "READY" in caplog.text


def test_a_process_without_a_free_descriptor_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
        ServiceManager(str(tmp_path / "notify")).serving("well", alive=True)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert "Too many open files" in caplog.text


@pytest.mark.parametrize(
    ("pid", "watchdog_s"), [(None, 0.5), (os.getpid(), 0.5), (os.getpid() + 1, None)]
)
def test_the_watchdog_is_for_one_process(pid: int | None, watchdog_s: float | None) -> None:
    environment = {"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "500000"}
    if pid is not None:
        environment["WATCHDOG_PID"] = str(pid)
    manager = ServiceManager.from_environment(environment)
    assert manager == ServiceManager("/run/notify", watchdog_s)


@pytest.mark.parametrize(
    ("name", "value"),
    [("NOTIFY_SOCKET", "vsock:2:1234"), ("WATCHDOG_USEC", "30s"), ("WATCHDOG_PID", "-1")],
)
def test_a_wrong_variable_is_named(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is '{value}'"):
        ServiceManager.from_environment({"WATCHDOG_USEC": "1", name: value})


def test_the_watchdog_hears_twice_in_its_time_and_only_while_all_is_well(tmp_path: Path) -> None:
    address, well = str(tmp_path / "notify"), True

    async def run(manager: ServiceManager) -> None:
        nonlocal well
        telling = asyncio.create_task(keep_told(manager, lambda: well, lambda: str(well)))
        await asyncio.sleep(0.45)
        well = False
        await asyncio.sleep(0.3)
        telling.cancel()

    with NotifySocket(address) as heard:
        asyncio.run(run(ServiceManager(address, watchdog_s=0.2)))
        heard.await_all(4)
        ill = [message for message in heard.messages if message["STATUS"] == "False"]
        assert ill
        assert not any("WATCHDOG" in message for message in ill)
        assert heard.count("WATCHDOG") >= 2


@pytest.mark.parametrize(("longest_s", "most"), [(60.0, 20), (0.0, 0)])
def test_more_time_is_asked_for_while_the_engines_warm_up_and_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, longest_s: float, most: int
) -> None:
    monkeypatch.setattr(notify, "_EXTENSION_S", 0.15)
    monkeypatch.setattr(notify, "_LONGEST_START_S", longest_s)

    async def run(manager: ServiceManager) -> None:
        async with more_time(manager, "engines warm up"):
            await asyncio.sleep(0.4)
        manager.ready("serving")
        await asyncio.sleep(0.2)

    with NotifySocket(str(tmp_path / "notify")) as heard:
        asyncio.run(run(ServiceManager(heard.address)))
        heard.await_message(lambda message: "READY" in message)
    *asked, last = heard.messages
    assert last == {"READY": "1", "STATUS": "serving"}
    assert min(most, 2) <= len(asked) <= most
    assert all(
        message == {"STATUS": "engines warm up", "EXTEND_TIMEOUT_USEC": "150000"}
        for message in asked
    )
