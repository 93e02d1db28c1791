"""Faults of the machine under a daemon: survived, shown, healed when the cause is gone, no ban lost or doubled."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.daemon import Daemon
from tests.e2e.faults import PATIENCE, SmallDisk, limit, table, wait_status
from tests.e2e.range import Network
from tests.kit.guards import plain_config
from tests.kit.waiting import wait_for

pytestmark = pytest.mark.timeout(300)
Guard = Callable[..., Daemon]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "auth.log"
    path.touch()
    return path


@pytest.fixture
def config(tmp_path: Path, log: Path) -> Path:
    # With a number: the names of ports are read from a file, which is one more thing that can fail.
    return plain_config(tmp_path / "config", log, maxretry=1, action="nftables[port=22]")


@pytest.fixture
def disk(network: Network, tmp_path: Path) -> Iterator[SmallDisk]:
    """The state folder of this test's daemons, on a disk of its own. (The range says whether we may mount.)"""
    small = SmallDisk(tmp_path / "state")
    yield small
    small.close()


def line(address: str) -> str:
    return f"{time.strftime('%Y-%m-%d %H:%M:%S')} login failed from {address}\n"


def fails(log: Path, *addresses: str) -> None:
    with log.open("a") as file:
        file.writelines(map(line, addresses))


def banned(daemon: Daemon) -> list[str]:
    return sorted(ban["id"] for ban in daemon.ask("status", "plain")["banned"] if ban["state"] == "active")


def wait_banned(daemon: Daemon, *addresses: str) -> None:
    def all_are(status: Any) -> bool:  # noqa: ANN401 -- JSON
        return {ban["id"] for ban in status["banned"] if ban["state"] == "active"} >= set(addresses)

    wait_status(daemon, f"{addresses} are banned", all_are, "plain")


def wait_problem(daemon: Daemon, text: str) -> None:
    wait_status(daemon, f"status tells: {text}", lambda status: text in json.dumps(status))


def wait_well(daemon: Daemon) -> None:
    def well(status: Any) -> bool:  # noqa: ANN401 -- JSON
        return not status["problems"] and all(jail["state"] == "running" for jail in status["jails"])

    wait_status(daemon, "status tells of no problem", well)


def in_kernel(network: Network, *addresses: str) -> None:
    wait_for(
        lambda: all(address in table(network.server) for address in addresses), f"{addresses} in the kernel", PATIENCE
    )


def restarted(guard: Guard, daemon: Daemon, config: Path) -> Daemon:
    daemon.stop()
    return guard(config)


# --- the state folder -------------------------------------------------------------------------------------------------


def test_a_full_disk_costs_no_ban(network: Network, disk: SmallDisk, guard: Guard, config: Path, log: Path) -> None:
    daemon = guard(config)
    fails(log, "198.51.100.1")
    wait_banned(daemon, "198.51.100.1")
    disk.fill()
    offenders = [f"203.0.113.{number}" for number in range(1, 251)]
    fails(log, *offenders)
    in_kernel(network, offenders[0], offenders[-1])
    wait_problem(daemon, "free some disk space")
    assert "cannot write the ledger" in daemon.log
    disk.free()
    wait_well(daemon)
    daemon.kill()
    again = guard(config)
    wait_banned(again, "198.51.100.1", *offenders)
    assert again.ask("status", "plain")["bans"]["total"] == 1 + len(offenders)
    assert again.stop() == 0


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_start_on_a_full_disk(  # noqa: PLR0917 -- fixtures
    network: Network, disk: SmallDisk, guard: Guard, config: Path, log: Path, end: str
) -> None:
    daemon = guard(config)
    fails(log, "198.51.100.1")
    wait_banned(daemon, "198.51.100.1")
    getattr(daemon, end)()
    disk.fill()
    network.server.run("nft", "flush", "ruleset")
    again = guard(config)
    in_kernel(network, "198.51.100.1")
    fails(log, "198.51.100.2")
    in_kernel(network, "198.51.100.2")
    wait_problem(again, "free some disk space")
    disk.free()
    wait_well(again)
    assert banned(restarted(guard, again, config)) == ["198.51.100.1", "198.51.100.2"]


def test_a_start_with_a_read_only_state_folder_keeps_who_was_out_and_says_what_will_not_survive(  # noqa: PLR0917
    network: Network, disk: SmallDisk, guard: Guard, config: Path, log: Path, tmp_path: Path
) -> None:
    (config / "guardhooks.conf").write_text(f"[Guardhooks]\nsocket = {tmp_path}/socket/sock\n")
    daemon = guard(config)
    fails(log, "198.51.100.1")
    wait_banned(daemon, "198.51.100.1")
    daemon.stop()
    disk.remount("ro")
    network.server.run("nft", "flush", "ruleset")
    again = guard(config)
    in_kernel(network, "198.51.100.1")
    wait_problem(again, "the file system is read-only")
    said = again.command("ban", "plain", "198.51.100.2")
    assert "this will not survive a restart: " in said.stderr
    assert "mount it writable" in said.stderr
    disk.remount("rw", again)
    wait_well(again)
    assert "will not survive" not in again.command("ban", "plain", "198.51.100.3").stderr
    assert banned(restarted(guard, again, config)) == ["198.51.100.1", "198.51.100.2", "198.51.100.3"]


@pytest.mark.parametrize("harm", ["garbage", "truncated", "folder"])
def test_a_damaged_ledger_takes_over_what_the_kernel_holds(  # noqa: PLR0917 -- fixtures
    network: Network, guard: Guard, config: Path, log: Path, tmp_path: Path, harm: str
) -> None:
    ledger = tmp_path / "state" / "ledger.sqlite3"
    daemon = guard(config)
    fails(log, "198.51.100.1", "198.51.100.2")
    wait_banned(daemon, "198.51.100.1", "198.51.100.2")
    daemon.stop()
    if harm == "garbage":
        content = ledger.read_bytes()
        ledger.write_bytes(content[:100] + os.urandom(len(content) - 100))
    elif harm == "truncated":
        os.truncate(ledger, 5000)
    else:
        ledger.unlink()
        ledger.mkdir()
    log.write_text("")  # else its lines would make the same bans again
    again = guard(config)
    wait_banned(again, "198.51.100.1", "198.51.100.2")
    in_kernel(network, "198.51.100.1", "198.51.100.2")
    wait_problem(again, "was damaged")
    assert "it is kept as ledger.sqlite3.damaged-" in again.log
    assert list(tmp_path.glob("state/ledger.sqlite3.damaged-*"))


@pytest.mark.parametrize("harm", ["removed", "garbage", "truncated"])
def test_a_ledger_harmed_while_it_is_in_use_is_written_anew(
    guard: Guard, config: Path, log: Path, tmp_path: Path, harm: str
) -> None:
    ledger = tmp_path / "state" / "ledger.sqlite3"
    daemon = guard(config)
    fails(log, "198.51.100.1")
    wait_banned(daemon, "198.51.100.1")
    if harm == "removed":
        ledger.unlink()
    elif harm == "garbage":
        ledger.unlink()
        ledger.write_bytes(os.urandom(20_000))
    else:
        for each in (ledger, ledger.with_name("ledger.sqlite3-wal")):
            os.truncate(each, 0)
    fails(log, "198.51.100.2")
    wait_problem(daemon, "everything was written again from memory")
    wait_banned(daemon, "198.51.100.1", "198.51.100.2")
    daemon.kill()
    again = guard(config)
    assert banned(again) == ["198.51.100.1", "198.51.100.2"]
    assert again.ask("status", "plain")["bans"]["total"] == 2
    with sqlite3.connect(ledger) as database:
        assert database.execute("SELECT count(*) FROM bans").fetchone() == (2,)
    database.close()


def test_a_state_folder_that_is_removed_is_made_anew(guard: Guard, config: Path, log: Path, tmp_path: Path) -> None:
    daemon = guard(config)
    fails(log, "198.51.100.1")
    wait_banned(daemon, "198.51.100.1")
    shutil.rmtree(tmp_path / "state")  # with the control socket
    daemon.wait_for_log("had been removed; created it again", PATIENCE)
    fails(log, "198.51.100.2")
    wait_banned(daemon, "198.51.100.1", "198.51.100.2")
    wait_problem(daemon, "everything was written again from memory")
    assert banned(restarted(guard, daemon, config)) == ["198.51.100.1", "198.51.100.2"]


# --- the kernel -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "harm", [("flush", "ruleset"), ("delete", "table", "inet", "guardhooks")], ids=["ruleset", "table"]
)
def test_a_table_that_vanishes_comes_back(
    network: Network, guard: Guard, config: Path, log: Path, harm: tuple[str, ...]
) -> None:
    daemon = guard(config)
    fails(log, "198.51.100.1")
    in_kernel(network, "198.51.100.1")
    network.server.run("nft", *harm)
    in_kernel(network, "198.51.100.1")
    wait_well(daemon)
    assert daemon.ask("status", "plain")["bans"]["total"] == 1


def test_without_the_privilege_it_says_so(network: Network, guard: Guard, config: Path, tmp_path: Path) -> None:
    without = ["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"]

    class Unprivileged:
        def command(self, *argv: str | Path) -> list[str]:
            return network.server.command(*without, *argv)

        run = staticmethod(network.server.run)

    daemon = Daemon(Unprivileged(), config, tmp_path / "state")  # type: ignore[arg-type]
    try:
        assert daemon.ask("status")["observing"]
        assert "observing, without the privilege CAP_NET_ADMIN" in daemon.log
    finally:
        daemon.stop()


# --- want of files and memory -----------------------------------------------------------------------------------------


def test_without_open_files_bans_wait_and_come(network: Network, guard: Guard, config: Path, log: Path) -> None:
    daemon = guard(config)
    fails(log, "198.51.100.1")
    wait_banned(daemon, "198.51.100.1")
    limit(daemon, "nofile", 3)
    fails(log, "198.51.100.2")
    daemon.wait_for_log("too many open files: raise the limit", PATIENCE)
    assert daemon.running
    limit(daemon, "nofile", 1024)
    wait_banned(daemon, "198.51.100.1", "198.51.100.2")
    wait_well(daemon)
    fails(log, "198.51.100.3")
    wait_banned(daemon, "198.51.100.3")
    assert daemon.ask("status", "plain")["bans"]["total"] == 3


def test_without_memory_lines_wait_and_are_counted(
    guard: Guard, config: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each block that is read wants pages of its own, as on a daemon that has just started.
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", str(128 * 1024))
    daemon = guard(config)
    fails(log, "198.51.100.1")
    wait_banned(daemon, "198.51.100.1")
    limit(daemon, "data", 1 << 20)  # less than it has: every further page is refused
    offenders = [f"203.0.113.{number}" for number in range(1, 251)]
    fails(log, *offenders)
    with log.open("a") as file:
        file.writelines(f"{number} an innocent line {'.' * 400}\n" for number in range(50_000))
    fails(log, "198.51.100.2")
    daemon.wait_for_log("out of memory", PATIENCE)
    assert daemon.running
    limit(daemon, "data", "unlimited")
    wait_banned(daemon, "198.51.100.1", "198.51.100.2", *offenders)
    wait_well(daemon)
    assert daemon.ask("status", "plain")["failures"]["total"] == 252


# --- logs, socket, signals --------------------------------------------------------------------------------------------


def test_a_log_disk_that_goes_away_and_returns(guard: Guard, tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    log = folder / "auth.log"
    (tmp_path / "first").write_text(line("198.51.100.1"))
    (tmp_path / "second").write_text(line("198.51.100.2"))
    daemon = guard(plain_config(tmp_path / "config", log, maxretry=1, action="nftables"))
    inside = ["nsenter", "--mount", "--target", str(daemon.pid)]  # the daemon has mounts of its own

    def mount(with_log: Path) -> None:
        subprocess.run([*inside, "mount", "-t", "tmpfs", "tmpfs", folder], check=True)
        subprocess.run([*inside, "cp", with_log, log], check=True)

    mount(tmp_path / "first")
    wait_banned(daemon, "198.51.100.1")
    subprocess.run([*inside, "umount", "--lazy", folder], check=True)
    wait_status(daemon, "the log is missed", lambda status: status["sources"][0]["state"] == "waiting", "plain")
    mount(tmp_path / "second")
    wait_banned(daemon, "198.51.100.1", "198.51.100.2")
    wait_well(daemon)


def test_the_control_socket_is_made_anew(guard: Guard, config: Path, tmp_path: Path) -> None:
    daemon = guard(config)
    (tmp_path / "state" / "guardhooks.sock").unlink()
    daemon.wait_for_log("had been removed; created it again", PATIENCE)
    wait_well(daemon)
    assert daemon.stop() == 0
    assert not (tmp_path / "state" / "guardhooks.sock").exists()


def test_a_storm_of_sighup_is_a_few_reloads(guard: Guard, config: Path, log: Path) -> None:
    daemon = guard(config)
    fails(log, "198.51.100.1")
    wait_banned(daemon, "198.51.100.1")
    for _ in range(200):
        os.kill(daemon.pid, signal.SIGHUP)
    daemon.wait_for_log("reloaded: ", PATIENCE)
    fails(log, "198.51.100.2")
    wait_banned(daemon, "198.51.100.1", "198.51.100.2")
    wait_well(daemon)
    assert daemon.log.count("reloaded: ") < 100
    assert daemon.ask("status", "plain")["bans"]["total"] == 2
