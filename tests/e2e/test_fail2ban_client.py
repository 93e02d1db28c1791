"""Debian's own `fail2ban-client` drives Debian's fail2ban and guardhooks: same commands, same output and exit codes."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from guardhooks_core.fail2ban_socket.client import client
from tests.e2e.daemon import Daemon
from tests.e2e.here import Here
from tests.kit.guards import write_files
from tests.kit.waiting import wait_for

ROOT: Final = Path(__file__).parents[2]
DRIVER: Final = Path(__file__).with_name("fail2ban_client.py")
COMMANDS: Final = Path(__file__).with_name("fail2ban_commands.txt")
NEWER: Final = {"status --all", "stats", "statistics", "reload zz", "restart --if-exists zz"}
"""What Debian's client, 1.0.2, does not print as later ones do."""
SYSTEM_PYTHON: Final = "/usr/bin/python3"

JAILS: Final = """
[DEFAULT]
usedns = no
backend = polling
action = noop
filter = plain
logpath = {log}
ignoreself = false
bantime = 10m
[a]
enabled = true
maxretry = 30
ignoreip = 10.0.0.0/8
[b]
enabled = true
maxretry = 30
bantime = 1h
"""
FILTER: Final = "[Definition]\nfailregex = ^fail from <HOST>$\n            ^bad <HOST>$\nignoreregex = ^ok\n"
ACTION: Final = "[Definition]\nactionban = true\nactionunban = true\n[Init]\nfoo = bar\n"

MISSING: Final = shutil.which("fail2ban-server") is None or os.geteuid() != 0
pytestmark = pytest.mark.skipif(MISSING and "CI" not in os.environ, reason="needs root and Debian's fail2ban")


class Result(NamedTuple):
    output: str
    code: int


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration that both read, with a folder of its own for each daemon."""
    (tmp_path / "a.log").touch()
    (tmp_path / "b.log").touch()
    theirs = "\n".join(
        [
            "[Definition]",
            "loglevel = INFO",
            f"logtarget = {tmp_path / 'fail2ban.log'}",
            "syslogsocket = auto",
            f"socket = {tmp_path / 'theirs.sock'}",
            f"pidfile = {tmp_path / 'theirs.pid'}",
            f"dbfile = {tmp_path / 'theirs.sqlite3'}",
            "dbpurgeage = 1d\ndbmaxmatches = 10\nallowipv6 = auto",
            "[Thread]\n",
        ]
    )
    ours = f"[Guardhooks]\nhistory_age = 1d\n[Fail2ban]\nsocket = {tmp_path / 'ours.sock'}\n"
    return write_files(
        tmp_path / "config",
        {
            "fail2ban.conf": theirs,
            "guardhooks.conf": ours,
            "jail.conf": JAILS.format(log=tmp_path / "a.log"),
            "filter.d/plain.conf": FILTER,
            "action.d/noop.conf": ACTION,
        },
    )


@pytest.fixture
def fail2ban(config: Path, tmp_path: Path) -> Iterator[Path]:
    """The socket of Debian's server."""
    socket = tmp_path / "theirs.sock"
    server = subprocess.Popen(
        ["fail2ban-server", "-c", str(config), "-f", "start"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
    try:
        wait_for(socket.exists, "fail2ban's socket")
        wait_for(lambda: "a, b" in run(config, socket, [["status"]])[0].output, "fail2ban's jails")
        yield socket
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture
def guardhooks(config: Path, tmp_path: Path) -> Iterator[Path]:
    """The socket of our daemon for fail2ban's clients."""
    daemon = Daemon(Here(), config, tmp_path / "state")
    yield tmp_path / "ours.sock"
    daemon.kill()


def run(config: Path, socket: Path, commands: list[list[str]]) -> list[Result]:
    """Run commands through the real client, one after the other."""
    done = subprocess.run(
        [SYSTEM_PYTHON, str(DRIVER), "-c", str(config), "-s", str(socket)],
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [Result(*each) for each in json.loads(done.stdout)]


def commands(tmp_path: Path) -> list[list[str]]:
    """The commands of the list, whose words stand between bars."""
    lines = COMMANDS.read_text().replace("$TMP", str(tmp_path)).splitlines()
    return [line.split("|") for line in lines if line and not line.startswith("#")]


def documented() -> list[str]:
    """The commands that docs/differences.md says differ: patterns, in which `*` stands for anything."""
    text = (ROOT / "docs" / "differences.md").read_text()
    section = text.split("## fail2ban's client", 1)[1].split("\n## ", 1)[0]
    return [
        pattern for row in re.findall(r"^\| (`.+?`) \|", section, re.MULTILINE) for pattern in row[1:-1].split("`, `")
    ]


def normalised(result: Result) -> Result:
    """Without times, and with ignored addresses in order: fail2ban gives them in that of a set."""
    output = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "TIME", result.output)
    if output.startswith("These IP addresses"):
        output = " ".join(sorted(re.findall(r"- (\S+)", output)))
    return Result(output, result.code)


def test_fail2ban_client_gets_the_answers_of_fail2ban(
    config: Path, fail2ban: Path, guardhooks: Path, tmp_path: Path
) -> None:
    """What differs is in docs/differences.md, and everything that is there differs."""
    asked, patterns = commands(tmp_path), documented()
    theirs, ours = run(config, fail2ban, asked), run(config, guardhooks, asked)
    used: set[str] = set()
    unexpected = []
    for words, real, mine in zip(asked, theirs, ours, strict=True):
        line = " ".join(words)
        if normalised(real) == normalised(mine):
            continue
        matching = [pattern for pattern in patterns if fnmatchcase(line, pattern)]
        used.update(matching)
        if not matching:
            unexpected.append(f"{line}\n  fail2ban:   {real}\n  guardhooks: {mine}")
    assert not unexpected, "\n".join(unexpected)
    assert set(patterns) - used == set(), "these do not differ"


def test_our_own_client_prints_what_fail2ban_client_prints(config: Path, guardhooks: Path, tmp_path: Path) -> None:
    """Over the same commands, each client against a daemon of its own."""
    asked = commands(tmp_path)
    (config / "guardhooks.conf").write_text("[Guardhooks]\nhistory_age = 1d\n")
    state = tmp_path / "second"
    daemon = Daemon(Here(), config, state)
    try:
        theirs, ours = run(config, guardhooks, asked), [own(config, state, words) for words in asked]
    finally:
        daemon.kill()
    differing = [
        f"{' '.join(words)}\n  fail2ban-client:   {real}\n  guardhooks-client: {mine}"
        for words, real, mine in zip(asked, theirs, ours, strict=True)
        if normalised(real) != normalised(mine) and " ".join(words) not in NEWER
    ]
    assert not differing, "\n".join(differing)


def own(config: Path, state: Path, words: list[str]) -> Result:
    """A command through `guardhooks-client`."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        code = client(["-c", str(config), "--state", str(state), *words], None)
    return Result(output.getvalue(), code)


def test_fail2ban_client_itself_says_what_it_says_of_a_running_fail2ban(config: Path, guardhooks: Path) -> None:
    """As the program that scripts call: exit codes and what it prints of ping, an unknown jail and a second start."""
    client = [shutil.which("fail2ban-client") or "", "-c", str(config), "-s", str(guardhooks)]

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*client, *words], capture_output=True, text=True, check=False, timeout=60)

    assert (call("ping").returncode, call("ping").stdout) == (0, "Server replied: pong\n")
    unknown = call("status", "nope")
    assert (unknown.returncode, unknown.stdout) == (255, "Sorry but the jail 'nope' does not exist\n")
    second = call("start")
    assert second.returncode == 255
    assert "Server already running" in second.stderr
    refused = call("stop")
    assert refused.returncode == 255
    assert "systemctl stop guardhooks" in refused.stdout
    assert call("ping").returncode == 0
