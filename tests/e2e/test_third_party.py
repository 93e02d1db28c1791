"""A distribution from elsewhere, installed as a wheel, takes over each stage in turn, and the flow still works."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
import textwrap
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.daemon import Daemon
from tests.e2e.here import Here
from tests.kit.guards import plain_config

OFFENDER = "198.51.100.7"
BYSTANDER = "198.51.100.8"


def wheel(folder: Path, module: str) -> Path:
    """A wheel of a distribution `acme-guard` whose plugin `acme` is this module (PEP 427)."""
    info = "acme_guard-1.0.dist-info"
    files = {
        "acme_guard.py": textwrap.dedent(module),
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: acme-guard\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[guardhooks]\nacme = acme_guard\n",
    }
    path = folder / "acme_guard-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        record = ""
        for name, text in files.items():
            archive.writestr(name, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            record += f"{name},sha256={digest},{len(text.encode())}\n"
        archive.writestr(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")
    return path


class Site:
    """A place where the plugin is installed beside guardhooks, and the daemon that runs there."""

    def __init__(self, folder: Path, module: str, *, logpath: str = "", action: str = "observe") -> None:
        self.log = folder / "auth.log"
        self.log.touch()
        site = folder / "site"
        install = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "-q",
            "--disable-pip-version-check",
            "--no-deps",
            "--no-index",
        ]
        subprocess.run([*install, "--target", str(site), str(wheel(folder, module))], check=True)
        config = plain_config(folder / "config", logpath or self.log, action=action)
        self.daemon = Daemon(Here(PYTHONPATH=str(site), ACME=str(folder)), config, folder / "state")

    def fail(self, address: str, times: int) -> None:
        """So many failed logins, dated now."""
        with self.log.open("a") as log:
            log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} login failed from {address}\n" * times)

    def wait_ban(self, address: str) -> None:
        """Wait until the ban is reported."""
        self.daemon.wait_for_log(f"[plain] Ban {address}")

    def banned(self) -> list[str]:
        return [ban["id"] for ban in self.status()["banned"]]

    def status(self) -> Any:  # noqa: ANN401 -- the JSON of the status command
        return self.daemon.ask("status", "plain")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    started: list[Site] = []

    def start(module: str, **options: str) -> Site:
        started.append(Site(tmp_path, module, **options))
        return started[-1]

    yield start
    for each in started:
        each.daemon.kill()


LOG_SOURCE = """
    import asyncio, time
    from guardhooks import Chunk, SourceStatus, hookimpl

    class Pigeon:
        key = "pigeon://loft"
        closed = None

        async def chunks(self, start):
            self.closed = asyncio.Event()
            stamp = time.strftime("%Y-%m-%d %H:%M:%S")
            yield Chunk(f"{stamp} login failed from 198.51.100.7\\n".encode() * 3, self.key, time.time())
            await self.closed.wait()

        def status(self):
            return SourceStatus(self.key, "reading")

        async def close(self):
            if self.closed:
                self.closed.set()

    @hookimpl
    def log_source(spec):
        return Pigeon() if spec.text.startswith("pigeon://") else None
"""

LINE_MATCHER = """
    import time
    from guardhooks import Failure, hookimpl

    class Words:
        problems = {}

        def __init__(self, jails):
            self.jails = [jail.name for jail in jails]

        def feed(self, chunk):
            for line in chunk.data.decode().splitlines():
                if line.startswith("foe "):
                    address = line.split()[1]
                    yield Failure(self.jails[0], address, chunk.received, address=address, matches=(line,))

        def time_of(self, line):
            return None

        def trace(self, chunk, *, every=True):
            return []

    @hookimpl
    def line_matcher(source, jails):
        return Words(jails)
"""

ON_FAILURE = """
    from guardhooks import Ignore, hookimpl

    @hookimpl
    async def on_failure(failure):
        return Ignore("a friend") if failure.id == "198.51.100.8" else None
"""

DECIDE_BAN = """
    from guardhooks import Ban, hookimpl

    @hookimpl
    def decide_ban(jail, failure, record):
        return [Ban(failure.id, jail.name, failure.time, 4242.0, reason="acme says so")]
"""

EXECUTE_ACTION = """
    import json, os, pathlib
    from guardhooks import hookimpl

    @hookimpl
    def execute_action(jail, action, op, bans):
        if action.name != "edge":
            return None
        with (pathlib.Path(os.environ["ACME"]) / "edge.jsonl").open("a") as file:
            file.write(json.dumps([jail.name, action.get("zone"), str(op), [ban.id for ban in bans]]) + "\\n")
        return True
"""

RAISING = """
    from guardhooks import hookimpl

    def boom(*_):
        raise RuntimeError("boom")

    @hookimpl
    def log_source(spec): boom()
    @hookimpl
    def line_matcher(source): boom()
    @hookimpl
    def on_failure(failure): boom()
    @hookimpl
    def decide_ban(record): boom()
    @hookimpl
    def execute_action(op): boom()
    @hookimpl
    def on_ban(ban): boom()
    @hookimpl
    def on_start(guard): boom()
"""


def test_log_source(site: Callable[..., Site]) -> None:
    running = site(LOG_SOURCE, logpath="pigeon://loft")
    running.wait_ban(OFFENDER)
    assert [source["key"] for source in running.status()["sources"]] == ["pigeon://loft"]


def test_line_matcher(site: Callable[..., Site]) -> None:
    running = site(LINE_MATCHER)
    running.fail(BYSTANDER, 3)
    with running.log.open("a") as log:
        log.write(f"foe {OFFENDER}\n" * 3)
    running.wait_ban(OFFENDER)
    assert running.banned() == [OFFENDER]


def test_on_failure(site: Callable[..., Site]) -> None:
    running = site(ON_FAILURE)
    running.fail(BYSTANDER, 3)
    running.fail(OFFENDER, 3)
    running.daemon.wait_for_log(f"Ignore {BYSTANDER} by a friend")
    running.wait_ban(OFFENDER)
    assert running.banned() == [OFFENDER]


def test_decide_ban(site: Callable[..., Site]) -> None:
    running = site(DECIDE_BAN)
    running.fail(OFFENDER, 1)
    running.wait_ban(OFFENDER)
    (ban,) = running.status()["banned"]
    assert ban["end"] - ban["start"] == 4242.0
    assert ban["reason"] == "acme says so"


def test_execute_action(site: Callable[..., Site], tmp_path: Path) -> None:
    running = site(EXECUTE_ACTION, action='edge[zone="dmz"]')
    running.fail(OFFENDER, 3)
    running.wait_ban(OFFENDER)
    told = [json.loads(line) for line in (tmp_path / "edge.jsonl").read_text().splitlines()]
    assert told[0] == ["plain", "dmz", "start", []]
    assert ["plain", "dmz", "ban", [OFFENDER]] in told


def test_a_plugin_that_raises_on_every_call_does_not_stop_a_ban(site: Callable[..., Site]) -> None:
    running = site(RAISING)
    running.fail(OFFENDER, 3)
    running.wait_ban(OFFENDER)
    running.fail(BYSTANDER, 3)
    running.wait_ban(BYSTANDER)
    assert "acme" in running.status()["plugins_off"]
