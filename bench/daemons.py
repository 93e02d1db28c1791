"""The two daemons, started the same way on the same configuration: a copy of Debian's with one sshd jail."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from guardhooks import Ban
from guardhooks.ledger import Ledger

_DEFAULT = """\
[DEFAULT]
bantime = 1d
findtime = 1h
maxretry = {maxretry}
banaction = {action}
banaction_allports = {action}
ignoreself = false
usedns = no
"""
_JAIL = """\
[{jail}]
enabled = true
backend = auto
logpath = {log}
action = %(action_)s
{filter}"""
_TICK = os.sysconf("SC_CLK_TCK")


class Daemon(ABC):
    """One daemon with a configuration of its own in `folder`, reading `log`."""

    name: ClassVar[str]

    def __init__(
        self,
        folder: Path,
        log: Path,
        *,
        maxretry: int = 5,
        action: str = "iptables-ipset-proto6",
        jails: Sequence[str] = ("sshd",),
        others: Sequence[Path] = (),
    ) -> None:
        """
        :param action: what bans, a name that both know.
        :param jails: those that read `log`; a jail that Debian's jail.conf does not name is one more sshd.
        :param others: more logs that all of them read.
        """
        self.folder, self.log = folder, log
        self.config = folder / "config"
        shutil.copytree("/etc/fail2ban", self.config, dirs_exist_ok=True)
        for shipped in (self.config / "jail.d").glob("*.conf"):
            shipped.unlink()
        sections = [_DEFAULT.format(maxretry=maxretry, action=action)]
        paths = "\n          ".join(map(str, [log, *others]))
        stock = f"{(self.config / 'jail.conf').read_text()}\n"
        for jail in jails:
            filter_ = "" if f"\n[{jail}]\n" in stock else "filter = sshd\n"
            sections.append(_JAIL.format(jail=jail, log=paths, filter=filter_, action=action))
        (self.config / "jail.local").write_text("".join(sections))
        self.process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def start(self) -> None:
        """Start in the foreground, as a child; returns at once."""

    @abstractmethod
    def ready(self) -> bool:
        """Whether it answers its client."""

    @abstractmethod
    def remember(self, addresses: list[str]) -> None:
        """Write these bans into its database while it does not run, as if it had made them just now."""

    @abstractmethod
    def ban(self, addresses: list[str]) -> None:
        """Ban these by hand, through its client."""

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(600)
            self.process = None

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def said(self) -> str:
        """The last line of its log."""
        log = self.folder / "log"
        return (log.read_text(errors="replace").splitlines() or [""])[-1] if log.exists() else ""

    def cpu(self) -> float:
        """CPU seconds used so far, user and system, children that it waited for included."""
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        # The kernel's name for a process's own CPU clock (clock_getcpuclockid(3)), which counts in nanoseconds.
        return time.clock_gettime(~self.process.pid << 3 | 2) + sum(map(int, fields[13:15])) / _TICK

    def peak_memory(self) -> float:
        """Peak resident memory, MB."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024

    def wait_ready(self) -> None:
        while not self.ready():
            assert self.process is not None
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended: see {self.folder / 'log'}")
            time.sleep(0.02)


class Guardhooks(Daemon):
    name = "guardhooks"
    extra: ClassVar[tuple[str, ...]] = ()

    def start(self) -> None:
        command = [
            sys.executable,
            "-m",
            "guardhooks",
            "run",
            "-c",
            str(self.config),
            "--state",
            str(self.folder / "state"),
            *self.extra,
        ]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stderr=log, stdout=log, env=environment())

    def ready(self) -> bool:
        return self._client("ping").returncode == 0

    def ban(self, addresses: list[str]) -> None:
        for start in range(0, len(addresses), 1000):
            self._client("ban", "sshd", *addresses[start : start + 1000]).check_returncode()

    def remember(self, addresses: list[str]) -> None:
        asyncio.run(self._remember(addresses))

    async def _remember(self, addresses: list[str]) -> None:
        ledger = Ledger.open(self.folder / "state" / "ledger.sqlite3", clock=time.time)
        for address in addresses:
            ledger.add(Ban(address, "sshd", time.time(), 86400.0, failures=5))
        await ledger.close()
        (self.folder / "state").chmod(0o700)

    def status(self) -> dict[str, object]:
        answer: dict[str, object] = json.loads(self._client("status", "--json").stdout)
        return answer

    def _client(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "guardhooks", words[0], "--state", str(self.folder / "state"), *words[1:]]
        return subprocess.run(command, capture_output=True, check=False, env=environment())


def environment() -> dict[str, str]:
    """Ours, with compiled Python modules kept as those of an installed package are."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(Path(tempfile.gettempdir()) / f"guardhooks-bench-{os.geteuid()}")}


class Fail2ban(Daemon):
    name = "fail2ban"

    def __init__(self, folder: Path, log: Path, **options: Any) -> None:  # noqa: ANN401 -- see `Daemon`
        super().__init__(folder, log, **options)
        (self.config / "fail2ban.local").write_text(
            "[Definition]\n"
            f"logtarget = {folder / 'log'}\nsocket = {folder / 'socket'}\npidfile = {folder / 'pid'}\n"
            f"dbfile = {folder / 'fail2ban.sqlite3'}\n"
        )

    def start(self) -> None:
        command = ["fail2ban-server", "-f", "-x", "-c", str(self.config), "start"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def ready(self) -> bool:
        return self._client("ping").returncode == 0

    def remember(self, addresses: list[str]) -> None:
        """It makes the first ban itself; the others become rows like that one."""
        self.start()
        self.wait_ready()
        self.ban(addresses[:1])
        self.stop()
        with contextlib.closing(sqlite3.connect(self.folder / "fail2ban.sqlite3")) as database, database:
            for table in ("bans", "bips"):
                self._multiply(database, table, addresses)

    @staticmethod
    def _multiply(database: sqlite3.Connection, table: str, addresses: list[str]) -> None:
        rows = database.execute(f"SELECT * FROM {table} WHERE ip = ?", addresses[:1])
        columns = [column[0] for column in rows.description]
        row = dict(zip(columns, rows.fetchone(), strict=True))
        marks = ", ".join("?" * len(columns))
        others = (tuple({**row, "ip": address}.values()) for address in addresses[1:])
        database.executemany(f"INSERT INTO {table} VALUES ({marks})", others)

    def ban(self, addresses: list[str]) -> None:
        for start in range(0, len(addresses), 500):
            self._client("set", "sshd", "banip", *addresses[start : start + 500]).check_returncode()

    def _client(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(["fail2ban-client", "-c", str(self.config), *words], capture_output=True, check=False)
