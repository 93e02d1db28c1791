"""The log in a file: what reads fail2ban's log reads it, and it can be rotated."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.daemon import Daemon
from tests.e2e.here import Here
from tests.kit.guards import plain_config
from tests.kit.waiting import wait_for

RECIDIVE = Path("/etc/fail2ban/filter.d/recidive.conf")
MISSING = shutil.which("fail2ban-regex") is None or not RECIDIVE.is_file() or os.geteuid() != 0
pytestmark = pytest.mark.skipif(MISSING and "CI" not in os.environ, reason="needs root and Debian's fail2ban")


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """As root, so that bans are made; by the action `observe`, so that nobody is kept out."""
    (tmp_path / "log").touch()
    daemon = Daemon(Here(), plain_config(tmp_path / "config", tmp_path / "log"), tmp_path / "state")
    yield daemon
    daemon.kill()


def test_a_log_file_is_read_by_fail2bans_recidive_filter_and_survives_rotation(daemon: Daemon, tmp_path: Path) -> None:
    file, rotated = tmp_path / "guard.log", tmp_path / "guard.log.1"
    assert str(file) in client(daemon, "set", "logtarget", file)
    daemon.command("ban", "plain", "203.0.113.1")
    wait_for(lambda: "[plain] Ban 203.0.113.1" in file.read_text(), "the ban in the file")
    assert "fail2ban.actions" in file.read_text()
    found = subprocess.run(["fail2ban-regex", str(file), str(RECIDIVE)], capture_output=True, text=True, check=True)
    assert "1 matched" in found.stdout

    file.rename(rotated)
    assert client(daemon, "flushlogs") == "logs: rolled over\n"
    daemon.command("ban", "plain", "203.0.113.2")
    wait_for(lambda: "Ban 203.0.113.2" in file.read_text(), "the ban in the new file")
    assert "203.0.113.2" not in rotated.read_text()

    file.unlink()
    os.kill(daemon.pid, signal.SIGUSR1)
    wait_for(file.exists, "the file after SIGUSR1")
    daemon.command("reload")
    daemon.wait_for_log("reloaded: ")


def client(daemon: Daemon, *words: str | Path) -> str:
    """What `guardhooks fail2ban-client` prints."""
    place = ("-c", daemon.config, "--state", daemon.state)
    return daemon.host.run(sys.executable, "-m", "guardhooks", "fail2ban-client", *place, *words).stdout
