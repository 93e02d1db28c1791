"""A real daemon reads logs that are rewritten, restored and full of old lines: nobody pays twice, or for last week."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.daemon import Daemon
from tests.e2e.here import Here
from tests.kit.guards import plain_config
from tests.kit.waiting import wait_for

OLD = 3 * 86400.0
IDS = 200
LAST = "203.0.113.9"


def lines(age: float, *addresses: str) -> str:
    """A failure of each address, so many seconds ago."""
    date = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time.time() - age))
    return "".join(f"{date} login failed from {address}\n" for address in addresses)


def append(log: Path, text: str) -> None:
    with log.open("a") as file:
        file.write(text)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[int], Daemon]]:
    """Starts a daemon that observes a glob of logs."""
    daemons: list[Daemon] = []

    def start(maxretry: int) -> Daemon:
        config = plain_config(tmp_path / "config", tmp_path / "*.log", maxretry=maxretry)
        daemons.append(Daemon(Here(), config, tmp_path / "state"))
        return daemons[-1]

    yield start
    for daemon in daemons:
        daemon.kill()


def figures(daemon: Daemon) -> tuple[int, list[str]]:
    """Failures counted in all, and who is banned."""
    status = daemon.ask("status", "plain")
    return status["failures"]["total"], [ban["id"] for ban in status["banned"]]


def until_last_is_banned(daemon: Daemon, log: Path, maxretry: int) -> None:
    """What was done before to any log has been read once the failures of the last address are."""
    append(log, lines(0, *[LAST] * maxretry))
    wait_for(lambda: LAST in figures(daemon)[1], f"{LAST} is banned")


@pytest.mark.parametrize(
    "command",
    [
        "sed -i '/no such line/d' {log}", "sed -i 's/failed/FAILED/;s/FAILED/failed/' {log}", "sed -i '1,50d' {log}",
        "cp {log} x; mv x {log}", "mv {log} y; mv y {log}", "tail -n 100 {log} > x; mv x {log}",
        "tail -n 100 {log} > x; cat x > {log}",
    ],
)  # fmt: skip
def test_one_failure_each_stays_one_however_the_log_is_rewritten(
    start: Callable[[int], Daemon], tmp_path: Path, command: str
) -> None:
    log = tmp_path / "auth.log"
    log.touch()
    daemon = start(2)
    append(log, lines(0, *(f"198.51.100.{number}" for number in range(IDS))))
    wait_for(lambda: figures(daemon)[0] == IDS, "all failures are counted")
    subprocess.run(command.format(log=log), shell=True, check=True, cwd=tmp_path)
    until_last_is_banned(daemon, log, 2)
    assert figures(daemon) == (IDS + 2, [LAST])


def test_failures_of_three_days_ago_ban_nobody_however_they_come(
    start: Callable[[int], Daemon], tmp_path: Path
) -> None:
    old = lines(OLD, *["198.51.100.7"] * 5)
    appended, rewritten, copied = (tmp_path / f"{name}.log" for name in ("appended", "rewritten", "copied"))
    for log in (appended, rewritten, copied):
        log.write_text(old)
    daemon = start(3)
    subprocess.run(["sed", "-i", "s/login/login/", rewritten], check=True)
    copied.write_text(old + old)
    append(appended, old)
    (tmp_path / "new.log").write_text(old)
    for log in (rewritten, copied, tmp_path / "new.log", appended):
        until_last_is_banned(daemon, log, 3)
    assert figures(daemon)[1] == [LAST]
