"""A distribution from elsewhere, installed as a wheel, takes over each stage in turn, and the flow still works."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import queue
import subprocess
import sys
import textwrap
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

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


class Daemon:
    """`guardhooks run` with the plugin installed beside it; what it logs is read as it comes."""

    def __init__(self, folder: Path, module: str, *, logpath: str = "", action: str = "observe") -> None:
        self.folder = folder
        self.log = folder / "auth.log"
        self.log.touch()
        config = folder / "config"
        (config / "filter.d").mkdir(parents=True)
        (config / "filter.d" / "plain.conf").write_text("[Definition]\nfailregex = ^\\s*login failed from <ADDR>$\n")
        (config / "jail.conf").write_text(
            f"[plain]\nenabled = true\nfilter = plain\nmaxretry = 3\nbantime = 1h\n"
            f"logpath = {logpath or self.log}\naction = {action}\n"
        )
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
        self._environment = {**os.environ, "PYTHONPATH": str(site), "ACME": str(folder)}
        self._lines: queue.Queue[str] = queue.Queue()
        self.seen: list[str] = []
        self.process = subprocess.Popen(
            self._command("run", "-c", str(config)), stderr=subprocess.PIPE, text=True, env=self._environment
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "guardhooks", words[0], "--state", str(self.folder / "state"), *words[1:]]

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._lines.put(line)

    def wait_log(self, predicate: Callable[[str], bool]) -> str:
        """The next line of the daemon's log for which it holds."""
        end = time.monotonic() + 30
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"not said; said was: {''.join(self.seen)}") from None
            self.seen.append(line)
            if predicate(line):
                return line

    def fail(self, address: str, times: int) -> None:
        """So many failed logins, dated now."""
        with self.log.open("a") as log:
            for _ in range(times):
                log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} login failed from {address}\n")

    def banned(self) -> list[str]:
        return [ban["id"] for ban in self.status()["banned"]]

    def status(self) -> dict[str, Any]:
        done = subprocess.run(
            self._command("status", "plain", "--json"),
            capture_output=True,
            text=True,
            check=True,
            env=self._environment,
        )
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(30)
        assert self.process.stderr is not None
        self.process.stderr.close()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Callable[..., Daemon]]:
    started: list[Daemon] = []

    def start(module: str, **options: str) -> Daemon:
        started.append(Daemon(tmp_path, module, **options))
        started[-1].wait_log(lambda line: " ready: " in line)
        return started[-1]

    yield start
    for each in started:
        each.close()


def banned(address: str) -> Callable[[str], bool]:
    return lambda line: f"[plain] Ban {address}" in line


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


def test_log_source(daemon: Callable[..., Daemon]) -> None:
    running = daemon(LOG_SOURCE, logpath="pigeon://loft")
    running.wait_log(banned(OFFENDER))
    assert [source["key"] for source in running.status()["sources"]] == ["pigeon://loft"]


def test_line_matcher(daemon: Callable[..., Daemon]) -> None:
    running = daemon(LINE_MATCHER)
    running.fail(BYSTANDER, 3)
    with running.log.open("a") as log:
        log.write(f"foe {OFFENDER}\n" * 3)
    running.wait_log(banned(OFFENDER))
    assert running.banned() == [OFFENDER]


def test_on_failure(daemon: Callable[..., Daemon]) -> None:
    running = daemon(ON_FAILURE)
    running.fail(BYSTANDER, 3)
    running.fail(OFFENDER, 3)
    running.wait_log(lambda line: f"Ignore {BYSTANDER} by a friend" in line)
    running.wait_log(banned(OFFENDER))
    assert running.banned() == [OFFENDER]


def test_decide_ban(daemon: Callable[..., Daemon]) -> None:
    running = daemon(DECIDE_BAN)
    running.fail(OFFENDER, 1)
    running.wait_log(banned(OFFENDER))
    (ban,) = running.status()["banned"]
    assert ban["end"] - ban["start"] == 4242.0
    assert ban["reason"] == "acme says so"


def test_execute_action(daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    running = daemon(EXECUTE_ACTION, action='edge[zone="dmz"]')
    running.fail(OFFENDER, 3)
    running.wait_log(banned(OFFENDER))
    told = [json.loads(line) for line in (tmp_path / "edge.jsonl").read_text().splitlines()]
    assert told[0] == ["plain", "dmz", "start", []]
    assert ["plain", "dmz", "ban", [OFFENDER]] in told


def test_a_plugin_that_raises_on_every_call_does_not_stop_a_ban(daemon: Callable[..., Daemon]) -> None:
    running = daemon(RAISING)
    running.fail(OFFENDER, 3)
    running.wait_log(banned(OFFENDER))
    running.fail(BYSTANDER, 3)
    running.wait_log(banned(BYSTANDER))
    assert "acme" in running.status()["plugins_off"]
