"""Two daemons on one machine, with a state folder each and a jail of one name: neither touches the other's bans."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.daemon import Daemon
from tests.e2e.range import Network, environment
from tests.kit.guards import plain_config
from tests.kit.waiting import wait_for

pytestmark = pytest.mark.root

KERNEL = {
    "nftables": ["nft", "list", "ruleset"],
    "ipset": ["ipset", "list"],
    "iptables-rules": ["iptables", "-S"],
    "route": ["ip", "route"],
}


def config(folder: Path, action: str, instance: str) -> Path:
    (folder / "log").parent.mkdir(exist_ok=True)
    (folder / "log").touch()
    made = plain_config(folder / "config", folder / "log", action=f"{action}[name=plain, port=22]")
    if action == "route":
        made = plain_config(folder / "config", folder / "log", action="route[name=plain]")
    (made / "guardhooks.conf").write_text(f"[Guardhooks]\nreconcile = 1s\ninstance = {instance}\n")
    return made


@pytest.mark.parametrize("action", KERNEL)
def test_each_keeps_its_bans_whatever_the_other_does(network: Network, tmp_path: Path, action: str) -> None:
    def in_kernel(address: str) -> bool:
        return address in network.server.run(*KERNEL[action]).stdout

    first = Daemon(network.server, config(tmp_path / "one", action, ""), tmp_path / "one" / "state")
    second = Daemon(network.server, config(tmp_path / "two", action, "two"), tmp_path / "two" / "state")
    try:
        first.command("ban", "plain", "198.51.100.1")
        second.command("ban", "plain", "198.51.100.2")
        for daemon in (first, second):  # Each compares the kernel with its own bans, twice.
            daemon.command("reload")
            wait_for(lambda d=daemon: d.ask("status", "plain")["actions"][0]["state"] == "active", "it is active")
        assert in_kernel("198.51.100.1")
        assert in_kernel("198.51.100.2")
        first.command("stop", "--flush")
        first.wait()
        assert not in_kernel("198.51.100.1")
        assert in_kernel("198.51.100.2")
        assert "kernel state differed" not in first.log + second.log
    finally:
        first.kill()
        second.kill()


def test_a_second_daemon_under_the_same_names_is_refused_with_the_remedy(network: Network, tmp_path: Path) -> None:
    first = Daemon(network.server, config(tmp_path / "one", "nftables", ""), tmp_path / "one" / "state")
    try:
        words = ["-c", config(tmp_path / "two", "nftables", ""), "--state", tmp_path / "two" / "state"]
        refused = subprocess.run(
            network.server.command(sys.executable, "-m", "guardhooks", "run", *map(str, words)),
            env=environment(), capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert refused.returncode != 0
        assert f"another guardhooks daemon (pid {first.pid}) keeps its bans in sets and chains" in refused.stderr
        assert "`instance = NAME` in the section [Guardhooks]" in refused.stderr
        assert "Traceback" not in refused.stderr
    finally:
        first.kill()
    Daemon(network.server, tmp_path / "two" / "config", tmp_path / "two" / "state").kill()
