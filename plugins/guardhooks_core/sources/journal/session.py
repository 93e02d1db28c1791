"""One run of `journalctl --follow` from a position on, with a watchdog: does it still deliver new entries?"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from guardhooks import Chunk
from guardhooks_core.sources.journal.entry_lines import CURSOR, FIELDS, line_of, received_at, time_of
from guardhooks_core.sources.journal.export_format import Entry, ExportParser
from guardhooks_core.sources.journal.journalctl import JournalCtl
from guardhooks_core.sources.journal.position import ORIGIN, ReadPosition
from guardhooks_core.sources.journal.selection import Selection

_EXPORT: Final = ("--output=export", "--no-pager", "--merge")
"""Without `--merge`, following implies the current boot only: entries shortly before a reboot would be lost."""
_LOOKUP_TIME: Final = 60.0
"""Seconds to wait for the newest entry."""

logger = logging.getLogger("guardhooks.journal")


@dataclass(frozen=True, slots=True)
class Options:
    """Intervals in seconds, and the program to run.

    After `silence` without an entry, the journal is checked for newer ones; if there are, and none arrives within
    `grace`, journalctl counts as stalled. Named files are checked every `rescan`; after a rotation, the rest of the old
    ones is read until nothing comes for `drain`, at most for `overdue`. `retry` are the pauses before each new start
    after consecutive failures.
    """

    command: str = "journalctl"
    silence: float = 60.0
    grace: float = 2.0
    rescan: float = 1.0
    drain: float = 0.25
    overdue: float = 10.0
    retry: tuple[float, ...] = (1.0, 5.0, 30.0)


class Session:
    """Reads from `position` on and advances it. `ended` says why reading ended, if that is a fault."""

    def __init__(
        self, key: str, selection: Selection, position: ReadPosition, options: Options, clock: Callable[[], float]
    ) -> None:
        self._key, self._selection, self._position = key, selection, position
        self._options, self._clock = options, clock
        self._now = asyncio.get_running_loop().time
        self._opened = selection
        self._found: frozenset[tuple[str, int, int]] = frozenset()
        self._running: set[JournalCtl] = set()
        self._stopping = asyncio.Event()
        self._boundary = 0
        self._changed: float | None = None
        self._last_output = self._last_check = self._now()
        self._suspicious = False
        self.started = self.empty = False
        self._error = ""
        self.ended = ""

    @property
    def caught_up(self) -> bool:
        """Whether all entries that existed at the start have been read."""
        return self.started and self._boundary <= self._position.done

    @property
    def files(self) -> tuple[str, ...]:
        """The files being read, if files are named."""
        return tuple(sorted(path for path, _, _ in self._found))

    async def chunks(self) -> AsyncGenerator[Chunk, None]:
        """Entries as they come.

        :raises OSError: if journalctl cannot be run.
        """
        await self._find_files()
        self._boundary = await self._newest()
        if self._stopping.is_set():
            return
        self.empty = not self._boundary
        expected = self._position.cursor.encode()
        arguments = ("--follow", "--no-tail", f"--output-fields={','.join(FIELDS)}", *self._position.arguments())
        async with self._run(*arguments) as process:
            self.started = True
            self._last_output = self._last_check = self._now()
            async for entries in self._entries(process):
                fresh = self._without(expected, entries)
                expected = b""
                for chunk in self._chunks_of(fresh):
                    yield chunk
            self.started = False
        if self._changed is None and not self._stopping.is_set():
            self.ended = self.ended or self._error

    async def stop(self) -> None:
        """End `chunks`."""
        self._stopping.set()
        await asyncio.gather(*(process.stop() for process in tuple(self._running)))

    async def _find_files(self) -> None:
        while self._selection.files and not self._stopping.is_set():
            self._found = await asyncio.to_thread(self._selection.found)
            self._opened = self._selection.at(self.files)
            if self._found:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._options.rescan):
                    await self._stopping.wait()

    @contextlib.asynccontextmanager
    async def _run(self, *arguments: str) -> AsyncIterator[JournalCtl]:
        words = (*_EXPORT, *self._opened.where, *arguments, "--", *self._opened.matches)
        process = await JournalCtl.start(self._options.command, words)
        self._running.add(process)
        try:
            if self._stopping.is_set():
                await process.stop()
            yield process
        finally:
            self._error = await process.stop()
            self._running.discard(process)

    async def _newest(self) -> int:
        """The time of the newest selected entry in the journal, in microseconds; 0 if there is none."""
        if self._stopping.is_set():
            return 0
        parser, newest = ExportParser(), 0
        async with self._run("--lines=1", "--quiet", "--output-fields=_BOOT_ID") as process:
            while data := await process.read(_LOOKUP_TIME):
                newest = max([newest, *(received_at(entry) for entry in parser.feed(data))])
        return newest

    async def _entries(self, process: JournalCtl) -> AsyncIterator[list[Entry]]:
        parser = ExportParser()
        while (data := await process.read(self._patience())) != b"" and not self._stopping.is_set():
            if data:
                self._last_output, self._suspicious = self._now(), False
                if entries := parser.feed(data):
                    yield entries
            if await self._rotated(quiet=data is None) or (data is None and await self._stalled()):
                return

    def _patience(self) -> float:
        """Seconds to wait for output before checking for a fault."""
        if self._changed is not None:
            return self._options.drain
        if self._suspicious:
            return self._options.grace
        return self._options.rescan if self._selection.files else self._options.silence

    async def _rotated(self, *, quiet: bool) -> bool:
        """Whether named files were replaced and the old ones are read; journalctl does not notice that."""
        now = self._now()
        if self._changed is not None:
            return quiet or now - self._changed >= self._options.overdue
        if self._selection.files and now - self._last_check >= self._options.rescan:
            self._last_check = now
            if await asyncio.to_thread(self._selection.found) != self._found:
                self._changed = now
        return False

    async def _stalled(self) -> bool:
        """Whether the journal has newer entries that do not arrive."""
        if self._suspicious:
            self.ended = "journalctl stalled: the journal has newer entries"
            return True
        if self._now() - self._last_output >= self._options.silence:
            self._last_output = self._now()
            self._suspicious = await self._newest() > self._position.done
        return False

    def _without(self, expected: bytes, entries: list[Entry]) -> list[Entry]:
        """The first entries without the one of the cursor, which was read before."""
        if not expected:
            return entries
        fresh = [entry for entry in entries if entry.get(CURSOR) != expected]
        if len(fresh) == len(entries):
            logger.info("%s: the last entry read is no longer in the journal; continuing with the next one", self._key)
        return fresh

    def _chunks_of(self, entries: Sequence[Entry]) -> Iterator[Chunk]:
        for live, group in groupby(entries, key=lambda entry: received_at(entry) > self._boundary):
            batch = list(group)
            self._position.advance(batch)
            self.empty = False
            yield Chunk(
                data=b"".join(map(line_of, batch)),
                origin=ORIGIN,
                received=self._clock(),
                position=self._position.position(self._key),
                live=live,
                times=tuple(map(time_of, batch)),
            )
