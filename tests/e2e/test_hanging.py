"""One slow part never stops another: what hangs is named, the rest guards, and SIGTERM ends the daemon."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.daemon import Daemon
from tests.e2e.hanging_mount import hanging_mount
from tests.e2e.here import Here
from tests.e2e.range import environment
from tests.kit.guards import plain_config
from tests.kit.waiting import wait_for

ADDRESS = "198.51.100.7"
ENDS = 40.0
"""Seconds; a daemon ends itself after 15."""
BLOCKING = """
import time
import guardhooks

@guardhooks.hookimpl
def on_failure(jail, failure):
    if failure.id == "198.51.100.66":
        while True:
            time.sleep(1)
"""
HANGING_ACTION = """
import threading
import guardhooks

@guardhooks.hookimpl
def execute_action(action, op):
    if action.name != "hanging":
        return None
    threading.Event().wait()
"""


class Site:
    """A configuration with the jail `plain`, a log, and the daemon once it is started."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "auth.log"
        self.log.touch()
        self.config = plain_config(folder / "config", self.log)
        self.state = folder / "state"
        self.daemon: Daemon | None = None

    def jails(self, text: str) -> None:
        """More jails, with the filter and the log of `plain`."""
        with (self.config / "jail.local").open("a") as file:
            file.write(f"[DEFAULT]\nlogpath = {self.log}\nmaxretry = 3\nignoreself = false\naction = observe\n{text}")

    def hook(self, text: str) -> None:
        folder = self.config / "hooks.d"
        folder.mkdir(mode=0o755)
        (folder / "site.py").write_text(text)
        (folder / "site.py").chmod(0o644)

    def start(self) -> Daemon:
        self.daemon = Daemon(Here(), self.config, self.state)
        return self.daemon

    def fail(self, address: str, times: int = 3) -> None:
        with self.log.open("a") as log:
            log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} login failed from {address}\n" * times)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    if made.daemon is not None:
        made.daemon.kill()


def test_an_ignorecommand_that_hangs_holds_up_its_own_jail_alone_and_is_shown(site: Site, tmp_path: Path) -> None:
    started = tmp_path / "started"
    site.jails(
        f"[router]\nenabled = true\nfilter = plain\nignorecommand = touch {started}; sleep 1000\n"
        "[missing]\nenabled = true\nfilter = plain\nignorecommand = /nowhere/to/be/found\n"
    )
    daemon = site.start()
    site.fail(ADDRESS)
    daemon.wait_for_log(f"[plain] Ban {ADDRESS}")
    wait_for(started.exists, "the command runs")
    assert f"[router] Ban {ADDRESS}" not in daemon.log
    daemon.wait_for_log(f"[missing] Ban {ADDRESS}")
    daemon.wait_for_log(f"[router] Ban {ADDRESS}")
    status = daemon.command("status").stdout
    assert "ignorecommand ended with status 127; the failure counts" in status
    assert "ignorecommand took longer than 5 s and was killed" in status
    assert "ignorecommand took longer than 5 s" in daemon.command("doctor", check=False).stdout
    assert daemon.stop() == 0


def test_a_hook_that_blocks_the_loop_is_named_and_sigterm_ends_the_daemon(site: Site) -> None:
    site.hook(BLOCKING)
    daemon = site.start()
    site.fail("198.51.100.66", 1)
    daemon.wait_for_log("[plain] plugin site failed in on_failure: PluginError: it blocks the event loop")
    assert "hooks.d/site.py:9 in on_failure" in daemon.log
    os.kill(daemon.pid, signal.SIGTERM)
    assert daemon.wait(ENDS) == 1
    assert "did not end within 15 s, ending by force" in daemon.log


def test_hanging_actions_of_many_jails_leave_those_of_others_working(site: Site) -> None:
    site.hook(HANGING_ACTION)
    site.jails("".join(f"[h{number}]\nenabled = true\nfilter = plain\naction = hanging\n" for number in range(20)))
    daemon = site.start()
    site.fail(ADDRESS)
    daemon.wait_for_log(f"[plain] Ban {ADDRESS}")
    assert daemon.ask("status", "h19")["actions"][0]["state"] == "starting"
    os.kill(daemon.pid, signal.SIGTERM)
    daemon.wait(ENDS)


def test_a_log_that_nobody_reads_stops_neither_the_guard_nor_its_end(site: Site) -> None:
    reading, writing = os.pipe()
    words = ["run", "-c", str(site.config), "--state", str(site.state), "--loglevel", "DEBUG", "--trace-hooks"]
    process = subprocess.Popen(
        Here().command(sys.executable, "-m", "guardhooks", *words),
        env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=writing,
    )  # fmt: skip
    try:
        wait_for(lambda: ask(site, "ping").returncode == 0, "the daemon")
        os.set_blocking(writing, False)
        with pytest.raises(BlockingIOError):
            _fill(lambda: os.write(writing, b"x" * 1000))
        site.fail(ADDRESS, 500)
        wait_for(lambda: ADDRESS in ask(site, "status", "plain").stdout, "the ban", 60)
        process.send_signal(signal.SIGTERM)
        assert process.wait(ENDS) == 0
    finally:
        process.kill()
        process.wait()
        os.close(writing)
        os.close(reading)


def test_logs_on_a_file_system_that_hangs_leave_the_others_readable(site: Site, tmp_path: Path) -> None:
    remote = tmp_path / "remote"
    remote.mkdir()
    jails = ""
    for number in range(20):
        (remote / f"{number}.log").touch()
        jails += f"[r{number}]\nenabled = true\nfilter = plain\nlogpath = {remote}/{number}.log\n"
    site.jails(jails)
    daemon = site.start()
    with hanging_mount(remote):
        wait_for(lambda: "no answer from the file system" in str(daemon.ask("status", "r3")), "it is told", 60)
        site.fail(ADDRESS)
        daemon.wait_for_log(f"[plain] Ban {ADDRESS}")
        assert daemon.ask("status", "plain")["state"] == "running"
        os.kill(daemon.pid, signal.SIGTERM)
        daemon.wait(ENDS)


def test_a_folder_that_a_user_fills_with_logs_starves_no_other_jail(site: Site, tmp_path: Path) -> None:
    folder = tmp_path / "filled"
    folder.mkdir()
    for number in range(1200):
        (folder / f"{number}.log").touch()
    site.jails(f"[filled]\nenabled = true\nfilter = plain\nlogpath = {folder}/*.log\n")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))  # the daemon inherits it, and raises it
    try:
        daemon = site.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    wait_for(lambda: "1200 files match and only 1000 are read" in str(daemon.ask("status", "filled")), "it is told", 60)
    site.fail(ADDRESS)
    daemon.wait_for_log(f"[plain] Ban {ADDRESS}")
    assert daemon.ask("status", "plain")["state"] == "running"
    assert "too many open files" not in daemon.log


def _fill(write: Callable[[], object]) -> None:
    while True:
        write()


def ask(site: Site, *words: str) -> subprocess.CompletedProcess[str]:
    command = Here().command(sys.executable, "-m", "guardhooks", *words, "-c", str(site.config), "--state", str(site.state))  # fmt: skip  # noqa: E501
    return subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
