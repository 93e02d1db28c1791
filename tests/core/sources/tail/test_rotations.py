"""A million numbered lines through fifty rotations of every kind, with restarts: each line once, in order.

What can be promised: a line that is on disk, uncompressed, in the log or beside it, when the tailer looks. So the
writer here does as logrotate does, and waits for the reader only where nobody could read later what it is about to
destroy: before deleting or compressing a file, or leaving one whose name has nothing of the log's. Lines that are
written between the copy and the truncation of `copytruncate` are lost to everybody; here, as in a quiet moment, there
are none. And it does not rotate a generation away of which the reader has seen nothing at all.
"""

from __future__ import annotations

import asyncio
import gzip
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest

if TYPE_CHECKING:
    from tests.core.sources.tail.conftest import Tail

TailType: TypeAlias = "type[Tail]"

LINES = 1_000_000
ROTATIONS = 50
BATCH = 500
RESTARTS = 12


class Progress:
    """How many lines the reader has got; the writer can wait for it."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self.lines = 0
        self.stopped = False

    def reach(self, lines: int) -> None:
        with self._condition:
            self.lines = lines
            self._condition.notify_all()

    def stop(self) -> None:
        with self._condition:
            self.stopped = True
            self._condition.notify_all()

    def wait(self, lines: int) -> None:
        with self._condition:
            self._condition.wait_for(lambda: self.stopped or self.lines >= lines)


class Writer(threading.Thread):
    """Writes the lines, rotating in every way in turn."""

    def __init__(self, log: Path, progress: Progress) -> None:
        super().__init__()
        self.log = log
        self.progress = progress
        self.written = 0
        self.generation = 0
        self.kinds: list[Callable[[], None]] = [
            self.rename, self.copytruncate, self.date, self.delete, self.rename_and_compress, self.switch_link,
        ]  # fmt: skip

    def run(self) -> None:
        self.descriptor = self.open(self.log)
        for self.generation in range(ROTATIONS):
            first = self.written
            self.write(LINES // (ROTATIONS + 1))
            self.progress.wait(first + 1)
            if self.log.is_symlink():
                self.progress.wait(self.written)
            self.kinds[self.generation % len(self.kinds)]()
            if self.progress.stopped:
                return
        self.write(LINES - self.written)
        os.close(self.descriptor)

    def open(self, path: Path) -> int:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def reopen(self) -> None:
        os.close(self.descriptor)
        self.descriptor = self.open(self.log)

    def write(self, count: int) -> None:
        end = self.written + count
        while self.written < end:
            stop = min(end, self.written + BATCH)
            os.write(self.descriptor, b"".join(b"%07d\n" % number for number in range(self.written, stop)))
            self.written = stop

    def rename(self) -> None:
        self.log.rename(f"{self.log}.{self.generation}")
        self.write(700)  # not told yet: goes to the renamed file
        self.reopen()

    def copytruncate(self) -> None:
        Path(f"{self.log}.{self.generation}").write_bytes(self.log.read_bytes())
        os.truncate(self.log, 0)

    def date(self) -> None:
        self.log.rename(f"{self.log}-202601{self.generation:02}")
        self.reopen()

    def delete(self) -> None:
        self.progress.wait(self.written)
        self.log.unlink()
        self.reopen()

    def rename_and_compress(self) -> None:
        old = Path(f"{self.log}.{self.generation}")
        self.log.rename(old)
        self.progress.wait(self.written)
        Path(f"{old}.gz").write_bytes(gzip.compress(old.read_bytes(), 1))
        old.unlink()
        self.reopen()

    def switch_link(self) -> None:
        os.close(self.descriptor)
        target = self.log.parent / "elsewhere" / f"day{self.generation}"
        target.parent.mkdir(exist_ok=True)
        self.descriptor = self.open(target)
        link = self.log.with_name("link")
        link.symlink_to(target)
        self.log.rename(f"{self.log}.{self.generation}")
        link.rename(self.log)


@pytest.mark.timeout(50)
async def test_every_line_once_and_in_order(tail: TailType, log: Path) -> None:
    progress = Progress()
    writer = Writer(log, progress)
    reader = tail(log, sweep=0.1)
    checked = restarts = 0
    count = 0
    try:
        while count < LINES:
            async with reader:
                if not restarts:
                    writer.start()
                goal = min(LINES, (restarts + 1) * LINES // (RESTARTS + 1))
                restarts += 1
                while count < goal:
                    await reader.more_than(checked)
                    for chunk in reader.chunks[checked:]:
                        lines = chunk.data.count(b"\n")
                        assert chunk.data == b"".join(b"%07d\n" % number for number in range(count, count + lines))
                        count += lines
                    checked = len(reader.chunks)
                    progress.reach(count)
            # What came while it was closing counts too: its position was saved.
            for chunk in reader.chunks[checked:]:
                count += chunk.data.count(b"\n")
            checked = len(reader.chunks)
            progress.reach(count)
    finally:
        progress.stop()
        await asyncio.to_thread(writer.join)
    assert count == LINES
    assert restarts > RESTARTS
    assert reader.text == b"".join(b"%07d\n" % number for number in range(LINES))
