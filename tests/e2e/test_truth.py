"""What the ledger says and what the kernel does are one: real packets before, during and after a ban, and whatever
others do to the firewall meanwhile. The daemon compares by itself only once an hour: what is repaired, is by the event.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.daemon import Daemon
from tests.e2e.prober import Prober
from tests.e2e.range import ATTACKER, NEIGHBOUR, SERVER, SSH_PORT, Network, end
from tests.kit.guards import plain_config
from tests.kit.waiting import wait_for

pytestmark = pytest.mark.root

KERNELS: Final = pytest.mark.parametrize("banaction", ["nftables", "ipset"])
BESIDE: Final = "192.0.2.67"
"""The other half of the attacker's /31."""
_LISTEN: Final = """
import socket
server = socket.create_server(("::", int(__import__("sys").argv[1])), family=socket.AF_INET6, dualstack_ipv6=True)
print("ready", flush=True)
while True:
    server.accept()[0].close()
"""
REPAIRED: Final = "kernel state differed from desired bans; repaired"


@dataclass
class Scene:
    """A server with an open port, its attacker, and a daemon between them."""

    network: Network
    attacker: Prober
    folder: Path
    guard: Callable[..., Daemon]

    def config(self, action: str) -> Path:
        name, _, options = action.removesuffix("]").partition("[")
        log = self.folder / "log"
        log.touch()
        text = f"{name}[name=plain, port={SSH_PORT}{', ' * bool(options)}{options}]"
        config = plain_config(self.folder / "config", log, action=text)
        (config / "guardhooks.conf").write_text("[Guardhooks]\nreconcile = 1h\n")
        return config

    def start(self, config: Path) -> Daemon:
        """A daemon whose sets and rules stand."""
        daemon = self.guard(config)
        wait_for(lambda: daemon.ask("status", "plain")["actions"][0]["state"] == "active", "the action is active")
        return daemon

    def reaches(self, address: str) -> bool:
        family = 6 if ":" in address else 4
        return self.attacker.can_connect(address, SERVER[family], SSH_PORT)

    def until_out(self, *addresses: str) -> None:
        for address in addresses:
            wait_for(lambda: not self.reaches(address), f"{address} is kept out")  # noqa: B023 -- called at once

    def until_in(self, address: str) -> None:
        wait_for(lambda: self.reaches(address), f"{address} gets through")

    def on_server(self, command: str) -> None:
        self.network.server.run(*command.split())


@pytest.fixture
def scene(network: Network, attacker: Prober, tmp_path: Path, guard: Callable[..., Daemon]) -> Iterator[Scene]:
    listener = subprocess.Popen(
        network.server.command(sys.executable, "-c", _LISTEN, str(SSH_PORT)), stdout=subprocess.PIPE, text=True
    )
    try:
        assert listener.stdout is not None
        assert listener.stdout.readline() == "ready\n"
        network.attacker.run("ip", "address", "add", f"{BESIDE}/24", "dev", "wire")
        yield Scene(network, attacker, tmp_path, guard)
    finally:
        end(listener)
        if listener.stdout is not None:
            listener.stdout.close()


def banned(daemon: Daemon) -> dict[str, str]:
    """The state of each ban."""
    return {ban["id"]: ban["state"] for ban in daemon.ask("status", "plain")["banned"]}


@KERNELS
def test_a_ban_holds_from_its_beginning_to_its_end(scene: Scene, banaction: str) -> None:
    daemon = scene.start(scene.config(banaction))
    assert scene.reaches(ATTACKER[4])
    daemon.command("ban", "plain", ATTACKER[4], ATTACKER[6])
    scene.until_out(ATTACKER[4], ATTACKER[6])
    assert scene.reaches(NEIGHBOUR[4])
    daemon.command("unban", ATTACKER[4])
    scene.until_in(ATTACKER[4])
    assert not scene.reaches(ATTACKER[6])
    daemon.command("ban", "plain", NEIGHBOUR[4], "--for", "5s")
    daemon.wait_for_log(f"[plain] Ban {NEIGHBOUR[4]}")
    daemon.wait_for_log(f"[plain] Unban {NEIGHBOUR[4]}")
    scene.until_in(NEIGHBOUR[4])
    assert set(banned(daemon)) == {ATTACKER[6]}


@pytest.mark.parametrize(
    ("banaction", "damage"),
    [
        ("nftables", "nft flush ruleset"),
        ("nftables", "nft delete table inet guardhooks"),
        ("nftables", f"nft delete element inet guardhooks f2b-plain-4-32 {{ {ATTACKER[4]} }}"),
        ("nftables", "nft flush chain inet guardhooks f2b-plain"),
        ("ipset", "ipset flush"),
        ("ipset", f"ipset del f2b-plain {ATTACKER[4]}"),
        ("ipset", "iptables -F"),
        ("ipset", "nft flush ruleset"),
        ("auto", "nft flush ruleset"),
    ],
)
def test_what_others_break_is_repaired_at_once(scene: Scene, banaction: str, damage: str) -> None:
    daemon = scene.start(scene.config(banaction))
    daemon.command("ban", "plain", ATTACKER[4], ATTACKER[6])
    for time in (1, 2):
        scene.on_server(damage)
        wait_for(lambda: daemon.log.count(REPAIRED) >= time, f"repair {time}")  # noqa: B023 -- called at once
        scene.until_out(ATTACKER[4], ATTACKER[6])
    assert scene.reaches(NEIGHBOUR[4])
    assert set(banned(daemon).values()) == {"active"}
    assert daemon.ask("status", "plain")["actions"][0]["repairs"] >= 2


def put_in(banaction: str, address: str) -> str:
    """The command by which somebody bans by hand, past the daemon."""
    if banaction == "ipset":
        return f"ipset add f2b-plain {address} timeout 3000"
    return f"nft add element inet guardhooks f2b-plain-4-32 {{ {address} timeout 3000s }}"


@KERNELS
def test_a_stranger_in_our_sets_is_let_go_at_once(scene: Scene, banaction: str) -> None:
    daemon = scene.start(scene.config(banaction))
    daemon.command("ban", "plain", ATTACKER[4])
    scene.on_server(put_in(banaction, NEIGHBOUR[4]))
    daemon.wait_for_log("0 added, 1 removed")
    scene.until_in(NEIGHBOUR[4])
    assert not scene.reaches(ATTACKER[4])


@KERNELS
def test_or_becomes_a_ban_like_any_other(scene: Scene, banaction: str) -> None:
    daemon = scene.start(scene.config(f"{banaction}[strangers=adopt]"))
    scene.on_server(put_in(banaction, NEIGHBOUR[4]))
    wait_for(lambda: banned(daemon) == {NEIGHBOUR[4]: "active"}, "the stranger is adopted")
    [ban] = daemon.ask("status", "plain")["banned"]
    assert ban["reason"] == "found in the firewall"
    assert 1000 < ban["remaining"] <= 3000
    assert not scene.reaches(NEIGHBOUR[4])
    daemon.command("unban", NEIGHBOUR[4])
    scene.until_in(NEIGHBOUR[4])
    scene.on_server(put_in(banaction, SERVER[4]))  # who would shut the machine out is not adopted
    daemon.wait_for_log("is not adopted: it is this machine's own address")
    assert banned(daemon) == {}


@pytest.mark.parametrize("banaction", ["nftables", "ipset", "auto"])
def test_a_lost_ledger_costs_no_ban_that_the_kernel_holds(scene: Scene, banaction: str) -> None:
    config = scene.config(banaction)
    daemon = scene.start(config)
    daemon.command("ban", "plain", ATTACKER[4], ATTACKER[6])
    daemon.stop()
    (daemon.state / "ledger.sqlite3").write_bytes(b"not a ledger\n" * 1000)
    with scene.attacker.loop(ATTACKER[4], SERVER[4], SSH_PORT) as tally:
        again = scene.start(config)
        wait_for(lambda: set(banned(again)) == {ATTACKER[4], ATTACKER[6]}, "the bans are adopted")
    assert tally.tries > 0
    assert tally.through == 0
    assert {ban["reason"] for ban in again.ask("status", "plain")["banned"]} == {"found in the firewall"}
    again.stop()
    third = scene.start(config)
    assert set(banned(third)) == {ATTACKER[4], ATTACKER[6]}
    third.command("unban", ATTACKER[4])
    scene.until_in(ATTACKER[4])


@KERNELS
def test_bans_outlive_the_daemon_and_what_is_broken_meanwhile_is_mended(scene: Scene, banaction: str) -> None:
    config = scene.config(banaction)
    daemon = scene.start(config)
    daemon.command("ban", "plain", ATTACKER[4])
    daemon.kill()
    assert not scene.reaches(ATTACKER[4])
    scene.on_server("nft flush ruleset")
    scene.until_in(ATTACKER[4])
    scene.start(config)
    scene.until_out(ATTACKER[4])


@KERNELS
def test_who_has_no_room_is_failing_until_there_is(scene: Scene, banaction: str) -> None:
    daemon = scene.start(scene.config(f"{banaction}[maxelem=2]"))
    daemon.command("ban", "plain", "198.51.100.1", "198.51.100.2")
    daemon.wait_for_log("is full: 2 of 2 entries")
    daemon.command("ban", "plain", ATTACKER[4], check=False)
    daemon.wait_for_log("not in force, retrying (1): set f2b-plain")
    assert scene.reaches(ATTACKER[4])
    jail = daemon.ask("status", "plain")
    assert {ban["id"]: ban["state"] for ban in jail["banned"]} == {
        "198.51.100.1": "active", "198.51.100.2": "active", ATTACKER[4]: "failing",
    }  # fmt: skip
    assert (jail["state"], jail["bans"]["current"], jail["bans"]["failing"]) == ("degraded", 2, 1)
    assert "maxelem=2 reached: set a greater maxelem=" in daemon.command("status", check=False).stdout
    daemon.command("unban", "198.51.100.1")
    scene.until_out(ATTACKER[4])
    wait_for(lambda: set(banned(daemon).values()) == {"active"}, "all bans are in force")
    daemon.wait_for_log("all bans are in force again")


@KERNELS
def test_neighbours_share_a_prefix_where_the_site_allows_it(scene: Scene, banaction: str) -> None:
    daemon = scene.start(scene.config(f"{banaction}[maxelem=1, aggregate=yes]"))
    daemon.command("ban", "plain", ATTACKER[4])
    daemon.command("ban", "plain", BESIDE)
    scene.until_out(ATTACKER[4], BESIDE)
    assert scene.reaches(NEIGHBOUR[4])
    assert banned(daemon) == {ATTACKER[4]: "active", BESIDE: "active"}
    damage = "ipset flush" if banaction == "ipset" else "nft flush set inet guardhooks f2b-plain-4-31"
    scene.on_server(damage)
    daemon.wait_for_log(REPAIRED)
    scene.until_out(ATTACKER[4], BESIDE)
    daemon.command("unban", BESIDE)
    scene.until_in(BESIDE)
    assert not scene.reaches(ATTACKER[4])
    # 192.0.2.1 is the server itself: no prefix may hold it.
    daemon.command("ban", "plain", "192.0.2.2", check=False)
    wait_for(lambda: banned(daemon).get("192.0.2.2") == "failing", "there is no room for it")
    assert not scene.reaches(ATTACKER[4])
