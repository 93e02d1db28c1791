"""Real servers of Debian: who fails at one is banned by its own jail, read where that server logs by default."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from guardhooks.settings import catalogue
from tests.e2e.configuration import SHIPPED
from tests.e2e.daemon import Daemon
from tests.e2e.prober import Prober
from tests.e2e.range import ATTACKER, NEIGHBOUR, SERVER, Network
from tests.e2e.servers import SERVERS
from tests.e2e.servers.machine import UNPACKED, Machine
from tests.e2e.servers.model import Server
from tests.kit.waiting import wait_for

START = 60.0
"""Seconds that a server may take until it listens: databases are made first."""


def installed(server: Server) -> bool:
    """Whether Debian's package of the server is here, installed or unpacked."""
    places = [str(UNPACKED / "usr" / each) for each in ("bin", "sbin")]
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin", *places])
    return shutil.which(server.program, path=path) is not None


@pytest.fixture(params=SERVERS, ids=[server.jail for server in SERVERS])
def server(request: pytest.FixtureRequest) -> Server:
    server: Server = request.param
    if not installed(server) and not os.environ.get("CI"):
        pytest.skip(f"{server.program} is not installed")
    return server


@pytest.fixture
def machine(network: Network, tmp_path: Path, server: Server) -> Iterator[Machine]:
    folder = tmp_path / "machine"
    folder.mkdir()
    machine = Machine(network.server, folder, server)
    yield machine
    machine.close()


def places_of(server: Server, machine: Machine) -> list[str]:
    """The jail's own log places below /var/log and /var/lib, where the machine has them."""
    texts = next(service.logs for service in catalogue(SHIPPED) if service.name == server.jail)
    inside = [text.replace("/var/lib/", "/var/log/lib/", 1) for text in texts]
    return [str(machine.logs / text.removeprefix("/var/log/")) for text in inside if text.startswith("/var/log/")]


def write_config(folder: Path, server: Server, machine: Machine) -> Path:
    directory = folder / "config"
    shutil.copytree(SHIPPED, directory)
    places = places_of(server, machine)
    lines = ["[sshd]", "enabled = false", f"[{server.jail}]", "enabled = true", f"maxretry = {min(server.rounds, 3)}"]
    lines += ["backend = pyinotify", "logpath = " + "\n          ".join(places)]
    (directory / "jail.local").write_text("\n".join([*lines, ""]))
    return directory


@dataclass(frozen=True)
class Stage:
    """A server that runs, and who may reach it."""

    server: Server
    machine: Machine
    network: Network
    attacker: Prober

    def reachable(self, source: dict[int, str]) -> bool:
        assert self.machine.running, self.machine.said()
        return self.attacker.can_connect(source[4], SERVER[4], self.server.port)

    def fail(self) -> None:
        """Each client once; what it says does not matter."""
        for attempt in self.server.attempts:
            self.network.attacker.run(*attempt, check=False, timeout=30.0)


@pytest.fixture
def stage(server: Server, machine: Machine, network: Network, attacker: Prober) -> Stage:
    return Stage(server, machine, network, attacker)


def test_who_fails_at_a_real_server_is_banned_by_its_own_jail(
    stage: Stage, guard: Callable[..., Daemon], tmp_path: Path
) -> None:
    server = stage.server
    daemon = guard(write_config(tmp_path, server, stage.machine))
    try:
        wait_for(lambda: stage.reachable(NEIGHBOUR), f"{server.program} listens", START)
        for _ in range(server.rounds):
            stage.fail()
        daemon.wait_for_log(f"[{server.jail}] Ban {ATTACKER[4]}")
        wait_for(lambda: not stage.reachable(ATTACKER), "the attacker is kept out")
        assert stage.reachable(NEIGHBOUR)
    except AssertionError as error:
        error.add_note(stage.machine.said())
        raise
