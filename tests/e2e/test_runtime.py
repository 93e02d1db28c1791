"""The commands that look at and change the running guard, against a real daemon."""

from __future__ import annotations

import grp
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.e2e.daemon import Daemon
from tests.e2e.here import Here
from tests.e2e.unprivileged import Unprivileged
from tests.kit.guards import plain_config

ADDRESS = "198.51.100.7"
GROUP = grp.getgrnam("games")
ASK = """
import os, socket, sys
os.setgroups([int(each) for each in sys.argv[3:]])
os.setgid(65534)
os.setuid(65534)
with socket.socket(socket.AF_UNIX) as client:
    try:
        client.connect(sys.argv[1])
    except PermissionError:
        sys.exit(0)
    client.sendall(b'{"command": "%s"}\\n' % sys.argv[2].encode())
    print(client.makefile().readline())
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    (tmp_path / "log").touch()
    daemon = Daemon(Unprivileged(), plain_config(tmp_path / "config", tmp_path / "log"), tmp_path / "state")
    yield daemon
    daemon.kill()


def test_a_change_is_told_everywhere_until_a_reload_takes_it_back(daemon: Daemon) -> None:
    daemon.command("set", "plain", "maxretry", "2")
    assert daemon.command("get", "plain", "maxretry").stdout == "2\n"
    assert "maxretry = 2 (was 3), by uid 0" in daemon.command("status").stdout
    shown = daemon.command("config", "show", "plain").stdout
    assert "maxretry = 3  # in the running guard: 2\n" in shown
    assert "maxretry changed from '3' to '2' by uid 0" in daemon.log
    assert "taken back, for no file says so: [plain] maxretry = 2" in daemon.command("reload").stdout
    assert daemon.command("get", "plain", "maxretry").stdout == "3\n"
    assert "running guard" not in daemon.command("config", "show", "plain").stdout


def test_a_mistake_changes_nothing_and_names_the_right_word(daemon: Daemon) -> None:
    refused = daemon.command("set", "plain", "maxretyr", "2", check=False)
    assert refused.returncode == 2
    assert "did you mean 'maxretry'" in refused.stderr
    assert daemon.command("set", "plain", "bantime", "-1").returncode == 0
    assert daemon.command("get", "plain", "bantime").stdout == "-1\n"


def test_attempts_ban_and_banned_lists_them(daemon: Daemon) -> None:
    said = daemon.command("attempt", "plain", ADDRESS, "--line", "one", "--line", "two", "--line", "three").stdout
    assert f"[plain] banned {ADDRESS}" in said
    assert daemon.ask("banned") == {"plain": [ADDRESS]}
    assert daemon.command("banned", ADDRESS).stdout == f"{ADDRESS} plain\n"
    assert daemon.command("banned", "203.0.113.1", check=False).returncode == 1


def test_who_is_put_on_the_allowlist_is_unbanned_and_stays_on_it_over_a_restart(daemon: Daemon) -> None:
    daemon.command("ban", "plain", ADDRESS)
    said = daemon.command("ignore", "add", ADDRESS, "--for", "2h", "--reason", "the office").stdout
    assert f"[plain] unbanned {ADDRESS}" in said
    assert "allowlist" in daemon.command("plugins").stdout
    daemon.stop()
    again = Daemon(Unprivileged(), daemon.config, daemon.state)
    try:
        assert "in all jails until" in again.command("ignore", "list").stdout
        assert again.command("ban", "plain", ADDRESS, check=False).returncode == 1
        assert again.command("ignore", "remove", ADDRESS, ADDRESS).returncode == 0
        assert again.ask("ignore", "list") == []
    finally:
        again.kill()


def test_a_jail_is_paused_stopped_and_started(daemon: Daemon) -> None:
    daemon.command("ban", "plain", ADDRESS)
    daemon.command("jail", "pause", "plain", "--for", "1h")
    assert daemon.ask("status")["jails"][0]["state"] == "paused"
    assert daemon.command("status", "--check", check=False).returncode == 6
    assert daemon.ask("banned") == {"plain": [ADDRESS]}
    daemon.command("jail", "stop", "plain")
    assert daemon.ask("status")["jails"][0]["state"] == "stopped"
    daemon.command("jail", "start", "plain")
    assert daemon.ask("banned") == {"plain": []}
    assert "runs already" in daemon.command("jail", "start", "plain").stdout


def asking(socket: Path, groups: list[int]) -> Callable[[str], Any]:
    """Asks as a user without privileges who is in these groups; gives None where the socket cannot be opened."""

    def ask(name: str) -> Any:  # noqa: ANN401 -- an answer
        done = Here().run(sys.executable, "-c", ASK, socket, name, *map(str, groups))
        return json.loads(done.stdout) if done.stdout else None

    return ask


@pytest.mark.skipif(os.geteuid() != 0 and "CI" not in os.environ, reason="needs root, to be somebody else")
def test_members_of_the_readers_may_look_and_change_nothing(tmp_path: Path) -> None:
    (tmp_path / "log").touch()
    config = plain_config(tmp_path / "config", tmp_path / "log")
    with TemporaryDirectory(prefix="guardhooks-", dir="/run") as folder:
        socket = Path(folder) / "control" / "guardhooks.sock"
        (config / "guardhooks.conf").write_text(f"[Guardhooks]\nsocket = {socket}\nreaders = {GROUP.gr_name}\n")
        Path(folder).chmod(0o755)
        daemon = Daemon(Here(), config, tmp_path / "state", "--observe")
        try:
            member, other = (asking(socket, groups) for groups in ([GROUP.gr_gid], []))
            assert member("banned") == {"ok": True, "result": {"plain": []}}
            assert member("status")["ok"]
            for name in ("stop", "set", "unban_all", "doctor", "get", "fail2ban", "ignore_list"):
                assert (member(name)["ok"], member(name)["kind"]) == (False, "refused")
            assert other("ping") is None
        finally:
            daemon.kill()
