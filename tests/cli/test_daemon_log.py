"""The log of a real daemon: its style, every failure, priorities for the journal, and what a closed terminal does."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import strftime

import pytest

from tests.cli.running import Site
from tests.kit.waiting import wait_for

COMMAND = [sys.executable, "-m", "guardhooks", "run", "--observe"]


@contextlib.contextmanager
def daemon(site: Site, log: Path, **environment: str) -> Iterator[Callable[[], str]]:
    """A daemon, ready, that logs to a file; gives what reads it."""
    with log.open("w") as stderr:
        process = subprocess.Popen([*COMMAND, *site.place()], stderr=stderr, env={**os.environ, **environment})
    try:
        wait_for(lambda: " ready: " in log.read_text(), "the daemon")
        yield log.read_text
    finally:
        process.kill()
        process.wait()


def failures(site: Site, *addresses: str) -> None:
    with site.log.open("a") as log:
        now = strftime("%Y-%m-%d %H:%M:%S")
        log.write("".join(f"{now} login of root failed from {address}\n" for address in addresses))


def test_the_detailed_style_tells_why_for_how_long_and_who_unbanned(site: Site, tmp_path: Path) -> None:
    (site.config / "guardhooks.conf").write_text("[Log]\nstyle = detailed\n")
    with daemon(site, tmp_path / "out") as text:
        failures(site, "203.0.113.1", "203.0.113.1")
        wait_for(lambda: "[app] Would ban 203.0.113.1 (2 failures in 10m, for 10m, user root)" in text(), "the ban")
        assert site.guardhooks("ban", "app", "203.0.113.2").returncode == 0
        wait_for(lambda: "Would ban 203.0.113.2 (by hand, by uid 0" in text(), "the ban by hand")
        assert site.guardhooks("unban", "203.0.113.1", "--jail", "app").returncode == 0
        wait_for(lambda: "[app] Would unban 203.0.113.1 (by uid 0" in text(), "the unban")
        assert "unban of 203.0.113.1 in jail app, asked for by uid 0" in text()


def test_a_week_with_a_comment_and_no_retries_ban_at_the_first_failure_for_a_week(site: Site, tmp_path: Path) -> None:
    jails = (site.config / "jail.conf").read_text()
    meant = jails.replace("bantime = 10m", "bantime = 1w # seven days").replace("maxretry = 2", "maxretry = 0")
    (site.config / "jail.conf").write_text(meant)
    with daemon(site, tmp_path / "out") as text:
        failures(site, "203.0.113.1")
        wait_for(lambda: "[app] Would ban 203.0.113.1" in text(), "the ban")
        shown = site.guardhooks("status", "app").stdout
        assert "app: running\n" in shown
        assert "1 failure in 10m: banned for 7d" in shown
        assert "bantime: '1w # seven days' is taken as 1w" in text()
        assert "degraded" not in text()


def test_every_failure_has_its_line(site: Site, tmp_path: Path) -> None:
    with daemon(site, tmp_path / "out") as text:
        failures(site, *(f"203.0.113.{number}" for number in range(1, 201)))
        wait_for(lambda: text().count("[other] Found ") >= 200, "the failures")
        lines = [line for line in text().splitlines() if "[app] Found 203.0.113." in line]
        assert len(lines) == 200
        assert all(": INFO    [app] Found 203.0.113." in line for line in lines)


def test_under_systemd_lines_have_a_priority_and_no_time(site: Site, tmp_path: Path) -> None:
    log = tmp_path / "out"
    log.touch()
    found = log.stat()
    with daemon(site, log, JOURNAL_STREAM=f"{found.st_dev}:{found.st_ino}") as text:
        failures(site, "203.0.113.1", "203.0.113.1")
        wait_for(lambda: "Would ban" in text(), "the ban")
        lines = text().splitlines()
    assert "<5>guardhooks.actions: NOTICE  [app] Would ban 203.0.113.1" in lines
    assert "<4>guardhooks.daemon: WARNING observing: bans are decided and logged, nobody is kept out" in lines
    assert all(line[0] == "<" and line[2:13] == ">guardhooks" for line in lines)


@pytest.mark.parametrize("ignored", [False, True])
def test_a_closed_terminal_is_no_reload(site: Site, tmp_path: Path, *, ignored: bool) -> None:
    """It ends the daemon as it ends every program, unless it was started with nohup."""
    log = tmp_path / "out"
    pid, terminal = pty.fork()
    if pid == 0:  # pragma: no cover -- the child becomes the daemon
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT), 2)
        signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
        os.execv(COMMAND[0], [*COMMAND, *site.place()])
    try:
        wait_for(lambda: log.exists() and " ready: " in log.read_text(), "the daemon")
        os.close(terminal)
        wait_for(lambda: "the terminal was closed" in log.read_text(), "the hangup")
        assert "reloaded" not in log.read_text()
        if ignored:
            os.kill(pid, signal.SIGHUP)
            wait_for(lambda: "reloaded" in log.read_text(), "a reload that was asked for")
    finally:
        os.kill(pid, signal.SIGTERM)
        assert os.waitpid(pid, 0)[1] == 0
