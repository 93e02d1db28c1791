"""Real journals: `systemd-journal-remote` writes them, the source reads them with `journalctl`."""

from __future__ import annotations

import asyncio
import inspect
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from guardhooks import Chunk, SourceSpec, StartAt
from guardhooks_core.sources.journal.selection import Selection
from guardhooks_core.sources.journal.session import Options
from guardhooks_core.sources.journal.source import JournalSource
from tests.core.sources.following import Following

_REMOTE = Path("/lib/systemd/systemd-journal-remote")
_MISSING = [str(tool) for tool in ("journalctl", _REMOTE) if shutil.which(str(tool)) is None]
_DESCRIPTORS = Path("/proc/self/fd")
BOOT = "0123456789abcdef0123456789abcdef"
START = 1_700_000_000.0


def entry(second: float, message: bytes | str, boot: str = BOOT, **fields: object) -> bytes:
    """An entry in the export format, written as journald writes it: odd bytes with their length."""
    micros = int((START + second) * 1e6)
    values: dict[str, object] = {
        "__REALTIME_TIMESTAMP": micros, "__MONOTONIC_TIMESTAMP": int(second * 1e6), "_BOOT_ID": boot,
        "_HOSTNAME": "srv", "_COMM": "sshd", "_PID": 7, "SYSLOG_IDENTIFIER": "sshd", **fields, "MESSAGE": message,
    }  # fmt: skip
    return b"".join(_field(name, value) for name, value in values.items()) + b"\n"


def _field(name: str, value: object) -> bytes:
    raw = value if isinstance(value, bytes) else str(value).encode()
    if raw.isascii() and raw.decode().isprintable():
        return name.encode() + b"=" + raw + b"\n"
    return name.encode() + b"\n" + len(raw).to_bytes(8, "little") + raw + b"\n"


class Writer:
    """Writes one journal file, entry by entry, as a journal daemon does."""

    def __init__(self, path: Path) -> None:
        self._process = subprocess.Popen(
            [_REMOTE, "-o", path, "-"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
        )

    def write(self, *entries: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(b"".join(entries))

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.wait(20) == 0


def write(path: Path, *entries: bytes) -> None:
    """Write entries and wait until they are on disk."""
    writer = Writer(path)
    writer.write(*entries)
    writer.close()


class Journal(Following):
    """A source on a folder of journal files; remembers what it was given over all restarts."""

    def __init__(
        self, folder: Path, match: str = "", *, backend: str = "", start: str = "head", **options: object
    ) -> None:
        super().__init__()
        spec = SourceSpec(match, kind="journal", backend=backend or f"systemd[journalpath={folder}]", start=start)
        self.selection = Selection.read("sshd", spec)
        self.tail = start == "tail"
        self.options = Options(**{"rescan": 0.02, "drain": 0.05, "retry": (0.02,), **options})  # type: ignore[arg-type]
        self.now = START + 1e6
        self.since = 0.0

    @property
    def lines(self) -> list[bytes]:
        return b"".join(chunk.data for chunk in self.chunks).split(b"\n")[:-1]

    @property
    def messages(self) -> list[str]:
        return [line.decode().rpartition(": ")[2] for line in self.lines]

    def open(self) -> JournalSource:
        self.source = JournalSource(self.selection, tail=self.tail, options=self.options, clock=lambda: self.now)
        return self.source

    async def __aenter__(self) -> Journal:
        self.open()
        self.follow(StartAt(dict(self.positions), self.since, lambda line: None))
        return self

    def take(self, chunk: Chunk) -> None:
        assert chunk.times is not None
        assert len(chunk.times) == chunk.data.count(b"\n")
        super().take(chunk)

    async def state(self, state: str) -> None:
        await self.until(lambda: self.source.status().state == state)

    async def count(self, number: int) -> None:
        await self.until(lambda: len(self.lines) >= number)


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run coroutine tests."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """An empty folder for a journal; afterwards no process and no descriptor may be left."""
    if _MISSING and "CI" not in os.environ:
        pytest.skip(f"not installed: {', '.join(_MISSING)}")
    before = len(list(_DESCRIPTORS.iterdir()))
    yield tmp_path
    assert not followers(tmp_path)
    assert len(list(_DESCRIPTORS.iterdir())) <= before


def followers(folder: Path) -> list[int]:
    """Process ids of the journalctl that follow this folder for us."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if b"journalctl" in command and b"--follow" in command and os.fsencode(folder) in command:
            found.append(int(process.name))
    return found
