"""The shipped unit under a real systemd, with its whole sandbox."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import systemd
from tests.e2e.here import Here
from tests.e2e.prober import Prober
from tests.e2e.range import ATTACKER, Network
from tests.e2e.systemd import PYTHON, UNITS, Systemd
from tests.kit.waiting import wait_for

pytestmark = pytest.mark.timeout(240)

MAX_EXPOSURE = 2.4
JAIL = """\
[DEFAULT]
action = auto
ignoreself = false
[plain]
enabled = true
filter = plain
logpath = /mnt/keep/plain.log
maxretry = 1
"""
FILTER = "[Definition]\nfailregex = failed from <HOST>$\n"


def unit_text(*words: str) -> str:
    return Here().run(sys.executable, "-m", "guardhooks", "systemd-unit", *words).stdout


def test_it_is_exposed_no_more_than_the_best_of_the_field(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        assert not os.environ.get("CI"), "CI must have systemd-analyze"
        pytest.skip("needs systemd-analyze")
    unit = tmp_path / "guardhooks.service"
    unit.write_text(unit_text())
    run = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--no-pager", unit],
        capture_output=True,
        text=True,
        check=False,
    )

    [level] = re.findall(r"Overall exposure level for \S+: ([\d.]+)", run.stdout)
    assert float(level) <= MAX_EXPOSURE


def test_systemd_understands_every_line_of_it(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        assert not os.environ.get("CI"), "CI must have systemd-analyze"
        pytest.skip("needs systemd-analyze")
    unit = tmp_path / "guardhooks.service"
    unit.write_text(unit_text("-c", "/srv/my guard/100%", "--state", "/srv/state"))
    run = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False)

    assert [line for line in run.stderr.splitlines() if "guardhooks" in line] == []
    assert ' run -c "/srv/my guard/100%%" --state /srv/state\n' in unit.read_text()


@pytest.fixture
def machine(network: Network, tmp_path: Path) -> Iterator[Systemd]:
    """systemd with the unit and a jail; the daemon is not started."""
    reason = systemd.missing()
    if reason and not os.environ.get("CI"):
        pytest.skip(f"systemd {reason}")
    assert not reason, f"CI must boot systemd, which {reason}"
    (tmp_path / "plain.log").touch()
    machine = Systemd(network.server, tmp_path)
    try:
        machine.write(f"{UNITS}/guardhooks.service", machine.run(*PYTHON_WITH_PATH, "systemd-unit").stdout)
        machine.write(f"{UNITS}/guardhooks.service.d/tests.conf", f"[Service]\n{SOURCES}RestartSec=200ms\n")
        machine.write("/etc/guardhooks/jail.conf", JAIL)
        machine.write("/etc/guardhooks/filter.d/plain.conf", FILTER)
        machine.run("systemctl", "daemon-reload")
        yield machine
        print(machine.log())  # shown when the test fails
    finally:
        machine.close()


_PATH = os.environ.get("PYTHONPATH", "")
SOURCES = f"Environment=PYTHONPATH={_PATH}\n" if _PATH else ""
PYTHON_WITH_PATH = ("env", f"PYTHONPATH={_PATH}", PYTHON, "-m", "guardhooks")


def guardhooks(machine: Systemd, *words: str) -> Any:  # noqa: ANN401 -- whatever the command prints
    return json.loads(machine.run(*PYTHON_WITH_PATH, *words, "--json").stdout)


def banned(machine: Systemd) -> list[str]:
    return [ban["id"] for ban in guardhooks(machine, "status", "plain")["banned"] if ban["state"] == "active"]


def test_it_bans_reloads_and_restarts_in_its_sandbox(machine: Systemd, attacker: Prober, tmp_path: Path) -> None:
    machine.run("systemctl", "start", "guardhooks")
    pid = machine.show("guardhooks", "MainPID")
    status = machine.run("cat", f"/proc/{pid}/status").stdout
    assert re.findall(r"CapEff:\t(\w+)", status) == ["0000000000001004"]  # CAP_DAC_READ_SEARCH, CAP_NET_ADMIN
    assert re.findall(r"NoNewPrivs:\t(\d)", status) + re.findall(r"Seccomp:\t(\d)", status) == ["1", "2"]
    with (tmp_path / "plain.log").open("a") as log:
        log.write(f"{datetime.now().astimezone().isoformat()} failed from {ATTACKER[4]}\n")
    wait_for(lambda: banned(machine) == [ATTACKER[4]], "the ban is in force")
    assert ATTACKER[4] in machine.run("nft", "list", "table", "inet", "guardhooks").stdout

    machine.write("/etc/guardhooks/jail.local", "[plain]\nmaxretry = 7\n")
    machine.run("systemctl", "reload", "guardhooks")
    assert guardhooks(machine, "status", "plain")["maxretry"] == 7
    assert machine.show("guardhooks", "StatusText") == "1 jail: plain"
    machine.run("systemctl", "restart", "guardhooks")
    assert machine.show("guardhooks", "MainPID") != pid
    assert banned(machine) == [ATTACKER[4]]
    machine.run("systemctl", "stop", "guardhooks")
    assert ATTACKER[4] in machine.run("nft", "list", "table", "inet", "guardhooks").stdout
    assert "Traceback" not in machine.log()


SESSION = "LEADER=1\nUID=0\nACTIVE=1\nSTATE=active\nREMOTE=1\nREMOTE_HOST=192.0.2.66\n"
SERVER = """
import pathlib, subprocess, sys
pathlib.Path("/proc/self/comm").write_text("sshd")
sys.exit(subprocess.run(sys.argv[1:]).returncode)
"""


def test_the_peer_of_an_ssh_session_that_only_logind_tells_is_not_banned(machine: Systemd) -> None:
    machine.run("systemctl", "start", "guardhooks")
    machine.write("/run/systemd/sessions/c1", SESSION)
    scope = ("systemd-run", "--scope", "--unit=session-c1", "--slice=user-0.slice", "--quiet")
    ban = machine.run(
        *scope, PYTHON, "-c", SERVER, *PYTHON_WITH_PATH, "ban", "plain", "192.0.2.66", "192.0.2.77", check=False
    )

    assert "192.0.2.66" in ban.stderr
    assert "ssh" in ban.stderr
    assert banned(machine) == ["192.0.2.77"]


BLOCKING = """\
import time
import guardhooks
from pathlib import Path


@guardhooks.hookimpl
def on_ban(jail, ban):
    try:
        Path("/var/lib/guardhooks/blocked").touch(exist_ok=False)
    except FileExistsError:
        return
    while True:
        time.sleep(1)
"""


def test_one_that_stands_still_or_dies_over_and_over_is_started_again(machine: Systemd) -> None:
    machine.write("/etc/guardhooks/hooks.d/blocking.py", BLOCKING)
    machine.write(f"{UNITS}/guardhooks.service.d/soon.conf", "[Service]\nWatchdogSec=4s\n")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", "guardhooks")
    subprocess.Popen(
        machine.command(*PYTHON_WITH_PATH, "ban", "plain", ATTACKER[4]),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ).wait()  # fmt: skip

    wait_for(lambda: machine.show("guardhooks", "NRestarts") == "1", "it is started again", 60.0)
    wait_for(lambda: machine.show("guardhooks", "ActiveState") == "active", "it is ready again", 60.0)
    log = machine.log()
    assert "Watchdog timeout" in log
    assert "blocking.py" in log  # the stack says where it stood still
    assert banned(machine) == [ATTACKER[4]]

    for number in range(2, 8):  # systemd's own limit is five within ten seconds
        machine.run("systemctl", "kill", "-s", "KILL", "--kill-who=main", "guardhooks", check=False)
        wait_for(lambda number=number: int(machine.show("guardhooks", "NRestarts")) >= number, "another start", 60.0)  # type: ignore[misc]
        wait_for(lambda: machine.show("guardhooks", "MainPID") != "0", "its process", 60.0)
    wait_for(lambda: machine.show("guardhooks", "ActiveState") == "active", "it is ready again", 60.0)
    assert banned(machine) == [ATTACKER[4]]


def test_a_configuration_that_cannot_be_used_is_told_and_tried_until_it_can(machine: Systemd) -> None:
    machine.write("/etc/guardhooks/jail.local", "[plain]\nfilter = gone\n")
    machine.run("systemctl", "start", "guardhooks", check=False)
    wait_for(lambda: int(machine.show("guardhooks", "NRestarts")) > 1, "several starts", 60.0)
    machine.write("/etc/guardhooks/jail.local", "")
    wait_for(lambda: machine.show("guardhooks", "ActiveState") == "active", "it runs", 60.0)

    assert "there is no filter 'gone'" in machine.log()
    machine.write("/etc/guardhooks/jail.local", "[plain]\nfilter = gone\n")
    assert machine.run("systemctl", "reload", "guardhooks", check=False).returncode != 0
    assert machine.show("guardhooks", "ActiveState") == "active"
    machine.run(*PYTHON_WITH_PATH, "stop")
    wait_for(lambda: machine.show("guardhooks", "ActiveState") == "inactive", "a stop is obeyed")
