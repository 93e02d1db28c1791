"""fail2ban, where it is installed, makes the same lines of the same entries at the same times."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.core.sources.journal.conftest import START, Journal, entry, write
else:
    from tests.core.sources.journal.conftest import START, Journal, entry, write

pytestmark = pytest.mark.skipif(
    shutil.which("fail2ban-regex") is None and "CI" not in os.environ, reason="fail2ban-regex is not installed"
)

_MATCHED = re.compile(r"\|  (\d{4}-\d\d-\d\dT\S+) (.*)")


def without(data: bytes, *fields: str) -> bytes:
    return b"".join(
        line for line in data.splitlines(True) if line.partition(b"=")[0].decode("ascii", "replace") not in fields
    )


def theirs(folder: Path) -> list[tuple[float, str]]:
    command = ["fail2ban-regex", "--print-all-matched", f"systemd-journal[journalpath={folder}]", "from <HOST>"]
    output = subprocess.run(command, capture_output=True, check=True, encoding="utf-8", timeout=30).stdout
    return [(datetime.fromisoformat(when).timestamp(), text) for when, text in _MATCHED.findall(output)]


async def test_lines_and_times_are_those_of_fail2ban(folder: Path) -> None:
    write(
        folder / "system.journal",
        entry(1, "plain from 192.0.2.1"),
        entry(2, "two\nlines from 192.0.2.2\n"),
        entry(3, "p from 192.0.2.3", SYSLOG_PID=99),
        entry(4, "time from 192.0.2.4", _SOURCE_REALTIME_TIMESTAMP=int((START + 3.5) * 1e6)),
        without(entry(5, "no host from 192.0.2.5"), "_HOSTNAME"),
        without(entry(6, "no identifier from 192.0.2.6"), "SYSLOG_IDENTIFIER"),
        without(entry(7, "no pid from 192.0.2.7"), "_PID"),
        without(entry(8, "no name from 192.0.2.8"), "SYSLOG_IDENTIFIER", "_COMM"),
        without(entry(9, "kernel from 192.0.2.9", SYSLOG_IDENTIFIER="kernel"), "_PID"),
        without(entry(9.5, "it from 192.0.2.9", SYSLOG_IDENTIFIER="kernel", _SOURCE_MONOTONIC_TIMESTAMP=777), "_PID"),
        entry(10, "pid from 192.0.2.10", SYSLOG_IDENTIFIER="kernel"),
        entry(11, "last from 192.0.2.11").replace(b"MESSAGE=", b"MESSAGE=first\nMESSAGE="),
    )
    async with Journal(folder) as journal:
        await journal.state("reading")
    ours = [
        (time, line.decode())
        for chunk in journal.chunks
        for time, line in zip(chunk.times or (), chunk.data.splitlines(), strict=True)
    ]
    assert len(ours) == 12
    assert ours == await asyncio.to_thread(theirs, folder)
