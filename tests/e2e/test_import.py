"""Bans of a real fail2ban are taken over, with their ends and their history; lists go from one daemon to another."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.e2e.daemon import Daemon
from tests.e2e.here import Here
from tests.kit.guards import write_files
from tests.kit.waiting import wait_for

MISSING: Final = shutil.which("fail2ban-server") is None or os.geteuid() != 0
pytestmark = pytest.mark.skipif(MISSING and "CI" not in os.environ, reason="needs root and Debian's fail2ban")

JAILS: Final = """
[DEFAULT]
usedns = no
backend = polling
action = noop
filter = plain
logpath = {log}
ignoreself = false
bantime = 1h
[a]
enabled = true
[again]
enabled = true
[gone]
enabled = true
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "log").touch()
    places = {name: tmp_path / f"fail2ban.{name}" for name in ("log", "sock", "pid", "sqlite3")}
    return write_files(
        tmp_path / "config",
        {
            "fail2ban.conf": "[Definition]\nloglevel = INFO\nsyslogsocket = auto\nallowipv6 = auto\ndbpurgeage = 1d\n"
            f"dbmaxmatches = 10\nlogtarget = {places['log']}\nsocket = {places['sock']}\npidfile = {places['pid']}\n"
            f"dbfile = {places['sqlite3']}\n[Thread]\n",
            "guardhooks.conf": "[Guardhooks]\nhistory_age = 30d\n",
            "jail.conf": JAILS.format(log=tmp_path / "log"),
            "filter.d/plain.conf": "[Definition]\nfailregex = ^fail from <HOST>$\n",
            "action.d/noop.conf": "[Definition]\nactionban = true\nactionunban = true\n",
        },
    )


class Fail2ban:
    """A real server, which is stopped before its database is read."""

    def __init__(self, config: Path) -> None:
        self._config = config
        silent: dict[str, Any] = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.DEVNULL,
            "stderr": subprocess.DEVNULL,
        }
        self._server = subprocess.Popen(["fail2ban-server", "-c", str(config), "-f", "start"], **silent)
        wait_for(lambda: "gone" in self.client("status"), "fail2ban's jails")

    def client(self, *words: str) -> str:
        command = ["fail2ban-client", "-c", str(self._config), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout

    def stop(self) -> None:
        self._server.terminate()
        self._server.wait(30)


@pytest.fixture
def database(config: Path, tmp_path: Path) -> Path:
    """An ordinary ban, a permanent one, an id that is banned for the second time, one of a jail that we lack."""
    server = Fail2ban(config)
    try:
        server.client("set", "a", "banip", "203.0.113.1", "2001:db8::1")
        server.client("set", "a", "bantime", "-1")
        server.client("set", "a", "banip", "203.0.113.2")
        server.client("set", "gone", "banip", "203.0.113.3")
        server.client("set", "again", "bantime", "1")
        server.client("set", "again", "banip", "203.0.113.4")
        wait_for(lambda: "203.0.113.4" not in server.client("get", "again", "banip"), "the end of the first ban")
        server.client("set", "again", "bantime", "3600")
        server.client("set", "again", "banip", "203.0.113.4")
    finally:
        server.stop()
    return tmp_path / "fail2ban.sqlite3"


@pytest.fixture
def daemon(config: Path, database: Path, tmp_path: Path) -> Iterator[Daemon]:
    """Ours, over the same configuration without one of its jails."""
    (config / "jail.local").write_text("[gone]\nenabled = false\n")
    daemon = Daemon(Here(), config, tmp_path / "state")
    yield daemon
    daemon.kill()


def test_bans_keep_their_ends_and_offenders_their_history(daemon: Daemon, database: Path, tmp_path: Path) -> None:
    dry = daemon.command("import", str(database), "--dry-run", check=False)
    assert "[a] 3 bans would be taken over" in dry.stdout
    assert daemon.ask("banned") == {"a": [], "again": []}

    done = daemon.command("import", str(database), check=False)
    assert done.returncode == 1
    assert "no jail is called 'gone'" in done.stderr
    bans = {ban["id"]: ban for ban in daemon.ask("status", "a")["banned"] + daemon.ask("status", "again")["banned"]}
    assert set(bans) == {"203.0.113.1", "2001:db8::1", "203.0.113.2", "203.0.113.4"}
    assert bans["203.0.113.2"]["end"] is None
    assert bans["203.0.113.1"]["end"] - bans["203.0.113.1"]["start"] == 3600
    assert bans["203.0.113.4"]["count"] == 2
    assert "known already" in daemon.command("import", str(database), check=False).stdout

    listed = daemon.command("bans", "export").stdout
    (tmp_path / "list").write_text(listed)
    daemon.command("unban", "--all")
    assert [json.loads(line)["id"] for line in listed.splitlines()] == list(bans)
    again = daemon.command("bans", "import", str(tmp_path / "list"), check=False)
    assert "lifted by hand here" in again.stderr
    plain = "203.0.113.8  # a comment\n203.0.113.9\n"
    (tmp_path / "plain").write_text(plain)
    daemon.command("bans", "import", str(tmp_path / "plain"), "--jail", "again")
    assert daemon.command("bans", "export", "--plain", "--jail", "again").stdout == "203.0.113.8\n203.0.113.9\n"
