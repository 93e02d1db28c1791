"""SIGKILL at random moments under load: what was reported is kept, and every line counts exactly once."""

from __future__ import annotations

import os
import random
import threading
import time
from pathlib import Path

import pytest

from tests.e2e.daemon import Daemon
from tests.e2e.here import Here
from tests.kit.guards import plain_config
from tests.kit.waiting import wait_for

KILLS = 80 if os.environ.get("CI") else 15
RETRIES = 3


class Attackers(threading.Thread):
    """Writes failed logins as they come; each address fails exactly as often as a ban takes."""

    def __init__(self, log: Path) -> None:
        super().__init__(daemon=True)
        self._log = log
        self._enough = threading.Event()
        self.offenders = 0

    def run(self) -> None:
        with self._log.open("a", buffering=1) as log:
            while not self._enough.wait(0.05):
                for _ in range(2):
                    self.offenders += 1
                    stamp = time.strftime("%Y-%m-%d %H:%M:%S")
                    address = f"10.{self.offenders >> 16 & 255}.{self.offenders >> 8 & 255}.{self.offenders & 255}"
                    log.write(f"{stamp} login failed from {address}\n" * RETRIES)

    def stop(self) -> None:
        self._enough.set()
        self.join()


def reported(daemon: Daemon) -> set[str]:
    return {line.split("[plain] Ban ")[1].strip() for line in daemon.log.splitlines() if "[plain] Ban " in line}


@pytest.mark.timeout(1500)
def test_no_reported_ban_is_lost_and_no_line_counts_twice(tmp_path: Path) -> None:
    log = tmp_path / "auth.log"
    log.touch()
    config = plain_config(tmp_path / "config", log, maxretry=RETRIES)
    moments = random.Random(20261122)
    attackers = Attackers(log)
    attackers.start()
    told: set[str] = set()
    for number in range(KILLS):
        daemon = Daemon(Here(), config, tmp_path / "state")
        if number % 2:  # every other time in full work, else while it still starts
            daemon.wait_for_log("[plain] Ban ")
        time.sleep(moments.random() * 0.3)  # the random moment: there is no event to wait for
        daemon.kill()
        told |= reported(daemon)
    attackers.stop()
    daemon = Daemon(Here(), config, tmp_path / "state")
    try:
        lines = attackers.offenders * RETRIES
        wait_for(lambda: daemon.ask("status", "plain")["failures"]["total"] >= lines, "all lines are counted", 120)
        status = daemon.ask("status", "plain")
    finally:
        daemon.stop()
    assert told
    assert told <= {ban["id"] for ban in status["banned"]}
    assert status["failures"]["total"] == lines
    assert status["bans"]["total"] == attackers.offenders
