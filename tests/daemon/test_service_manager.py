"""What the service manager is told."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from guardhooks.daemon.service_manager import ServiceManager


class Manager:
    """Hears what a service sends."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.setblocking(False)
        self.environment = {"NOTIFY_SOCKET": str(path)}

    async def heard(self) -> str:
        return (await asyncio.get_running_loop().sock_recv(self.socket, 4096)).decode()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(tmp_path / "notify")
    yield manager
    manager.socket.close()


async def _heard(manager: Manager, count: int) -> list[str]:
    return [await manager.heard() for _ in range(count)]


def test_keep_alives_go_on_and_a_new_status_is_told_once(manager: Manager) -> None:
    statuses = iter(["two jails", "one jail", "one jail", "one jail", "one jail"])
    service = ServiceManager({**manager.environment, "WATCHDOG_USEC": "4000", "WATCHDOG_PID": str(os.getpid())})

    async def talk() -> list[str]:
        service.ready("two jails")
        sending = asyncio.create_task(service.keep_alive(lambda: next(statuses, "one jail")))
        heard = await asyncio.wait_for(_heard(manager, 5), 20)
        sending.cancel()
        return heard

    ready = "READY=1\nSTATUS=two jails"
    assert asyncio.run(talk()) == [ready, "WATCHDOG=1", "WATCHDOG=1", "STATUS=one jail", "WATCHDOG=1"]


@pytest.mark.parametrize(
    "watchdog", [{}, {"WATCHDOG_USEC": "4000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}]
)
def test_no_keep_alives_are_sent_that_nobody_waits_for(manager: Manager, watchdog: dict[str, str]) -> None:
    service = ServiceManager({**manager.environment, **watchdog})
    asyncio.run(asyncio.wait_for(service.keep_alive(lambda: "fine"), 20))

    with pytest.raises(BlockingIOError):
        manager.socket.recv(1)


def test_a_reload_that_fails_leaves_the_service_ready(manager: Manager) -> None:
    service = ServiceManager(manager.environment)
    with pytest.raises(ValueError), service.reloading():
        raise ValueError

    assert [manager.socket.recv(100) for _ in range(2)] == [b"RELOADING=1", b"READY=1"]


def test_a_manager_that_is_gone_costs_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "gone")}).stopping()

    assert "cannot notify the service manager of STOPPING=1" in caplog.text
