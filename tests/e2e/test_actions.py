"""Firewall actions under a real daemon, with real packets: banned, repaired, killed, restarted, over, lifted."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.daemon import Daemon
from tests.e2e.prober import Prober
from tests.e2e.range import ATTACKER, NEIGHBOUR, SERVER, Network, end, environment
from tests.e2e.stockactions import FAIL2BAN
from tests.kit.guards import plain_config
from tests.kit.waiting import wait_for

pytestmark = [pytest.mark.root, pytest.mark.timeout(240)]

PORT = 8022
ACTIONS = [f"iptables-rules[port={PORT}]", "iptables-allports[native=rules, blocktype=DROP]", "route"]
FLUSHES = {
    "iptables": ["iptables -F", "ip6tables -F"],
    "route": ["ip route flush proto 242", "ip -6 route flush proto 242"],
}
every_action = pytest.mark.parametrize("action", ACTIONS)


class Scene:
    """A server that listens, a daemon's configuration, and somebody who comes from two addresses of each family."""

    def __init__(self, network: Network, attacker: Prober, folder: Path) -> None:
        self.network, self._attacker = network, attacker
        self._folder = folder
        self._listener = subprocess.Popen(
            network.server.command(sys.executable, "-m", "http.server", "--bind", "::", str(PORT)),
            cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=environment(),
        )  # fmt: skip

    def close(self) -> None:
        end(self._listener)

    def config(self, action: str, reconcile: str = "1h") -> Path:
        (self._folder / "log").touch()
        config = plain_config(self._folder / "config", self._folder / "log", action=action)
        (config / "guardhooks.conf").write_text(f"[Guardhooks]\nreconcile = {reconcile}\n")
        with (config / "jail.conf").open("a") as jails:
            jails.write("ipv6prefix = 64\n")
        return config

    def reaches(self, who: dict[int, str]) -> list[bool]:
        """Whether connects over IPv4 and over IPv6 succeed."""
        return [self._attacker.can_connect(who[family], SERVER[family], PORT) for family in (4, 6)]

    def wait_until_open(self) -> None:
        wait_for(lambda: self.reaches(ATTACKER) == [True, True], "the attacker gets in")

    def wait_until_shut(self) -> None:
        wait_for(lambda: self.reaches(ATTACKER) == [False, False], "the attacker is kept out")


@pytest.fixture
def scene(network: Network, attacker: Prober, tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(network, attacker, tmp_path)
    try:
        scene.wait_until_open()
        yield scene
    finally:
        scene.close()


Guard = Callable[..., Daemon]
BANNED = (ATTACKER[4], "2001:db8:0:66::/64")


@every_action
def test_banned_and_lifted(scene: Scene, guard: Guard, action: str) -> None:
    daemon = guard(scene.config(action))
    assert scene.reaches(ATTACKER) == [True, True]
    daemon.command("ban", "plain", *BANNED)
    scene.wait_until_shut()
    assert scene.reaches(NEIGHBOUR) == [True, True]
    daemon.command("unban", *BANNED)
    scene.wait_until_open()


@every_action
def test_a_ban_ends_by_itself(scene: Scene, guard: Guard, action: str) -> None:
    daemon = guard(scene.config(action))
    daemon.command("ban", "plain", *BANNED, "--for", "3s")
    daemon.wait_for_log(f"[plain] Ban {BANNED[1]}")
    daemon.wait_for_log(f"[plain] Unban {BANNED[1]}")
    scene.wait_until_open()


@every_action
def test_what_is_flushed_behind_our_back_comes_back(scene: Scene, guard: Guard, action: str) -> None:
    daemon = guard(scene.config(action, reconcile="1s"))
    daemon.command("ban", "plain", *BANNED)
    scene.wait_until_shut()
    for command in FLUSHES["route" if action.startswith("route") else "iptables"]:
        scene.network.server.run(*command.split())
    scene.wait_until_shut()
    daemon.wait_for_log("kernel state differed from desired bans; repaired")


@every_action
@pytest.mark.parametrize("ending", ["stop", "kill"])
def test_bans_stay_while_the_daemon_is_down_and_go_with_a_flush(
    scene: Scene, guard: Guard, action: str, ending: str
) -> None:
    config = scene.config(action)
    daemon = guard(config)
    daemon.command("ban", "plain", *BANNED)
    scene.wait_until_shut()
    getattr(daemon, ending)()
    assert scene.reaches(ATTACKER) == [False, False]
    daemon = guard(config)
    assert scene.reaches(ATTACKER) == [False, False]
    daemon.command("stop", "--flush")
    daemon.wait()
    assert scene.reaches(ATTACKER) == [True, True]
    rules = scene.network.server.run("iptables", "-S").stdout + scene.network.server.run("ip", "route").stdout
    assert "f2b" not in rules
    assert ATTACKER[4] not in rules


@every_action
def test_a_ban_that_ended_while_the_daemon_was_down_is_lifted_at_the_start(
    scene: Scene, guard: Guard, action: str
) -> None:
    config = scene.config(action)
    daemon = guard(config)
    daemon.command("ban", "plain", *BANNED, "--for", "2s")
    daemon.wait_for_log(f"[plain] Ban {BANNED[1]}")
    daemon.kill()
    guard(config)
    scene.wait_until_open()


@pytest.mark.skipif(not FAIL2BAN.is_dir(), reason="needs fail2ban's stock files")
@pytest.mark.parametrize(
    ("action", "says"),
    [
        ("route[blocktype=blackhole]", "routes: blackhole, protocol 242"),
        ("hostsdeny[file=FOLDER/hosts.deny]", "lines in FOLDER/hosts.deny"),
        ("route[native=no]", "commands of"),
        ("iptables-multiport[native=rules]", "iptables: chain f2b-plain, a rule for each ban"),
        ("iptables-multiport", "ipset: sets f2b-plain"),
    ],
)
def test_stock_names_are_served_natively(scene: Scene, guard: Guard, action: str, says: str, tmp_path: Path) -> None:
    config = scene.config(action.replace("FOLDER", str(tmp_path)))
    shutil.copytree(FAIL2BAN / "action.d", config / "action.d")
    daemon = guard(config)
    daemon.wait_for_log(says.replace("FOLDER", str(tmp_path)))
    daemon.command("ban", "plain", *BANNED)
    if action.startswith("hostsdeny"):
        wait_for(lambda: "ALL: [2001:db8:0:66::]/64\n" in (tmp_path / "hosts.deny").read_text(), "the line is there")
