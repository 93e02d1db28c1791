"""One run of `journalctl --follow` from a place on, watched: does it still hear what the journal holds?"""

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
from guardhooks_core.sources.journal.position import ORIGIN, Place
from guardhooks_core.sources.journal.selection import Selection

_EXPORT: Final = ("--output=export", "--no-pager", "--merge")
"""Without `--merge`, following implies the current boot only: what came shortly before a reboot would be lost."""
_LOOK_PATIENCE: Final = 60.0

logger = logging.getLogger("guardhooks.journal")


@dataclass(frozen=True, slots=True)
class Options:
    """Seconds, and the program to run.

    After `silence` without an entry it is checked that the journal has none that is newer; after `grace` more,
    journalctl counts as deaf. Named files are looked for every `rescan`; when they were changed by a rotation, what is
    left of the old ones is read until nothing came for `drain`, at most `overdue`. `retry` tells how long to wait
    before each new start after failures in a row.
    """

    command: str = "journalctl"
    silence: float = 60.0
    grace: float = 2.0
    rescan: float = 1.0
    drain: float = 0.25
    overdue: float = 10.0
    retry: tuple[float, ...] = (1.0, 5.0, 30.0)


class Session:
    """Reads from `place` on and moves it. `ended` says why the reading ended, if that is a fault."""

    def __init__(
        self, key: str, selection: Selection, place: Place, options: Options, clock: Callable[[], float]
    ) -> None:
        self._key, self._selection, self._place = key, selection, place
        self._options, self._clock = options, clock
        self._now = asyncio.get_running_loop().time
        self._opened = selection
        self._found: frozenset[tuple[str, int, int]] = frozenset()
        self._running: set[JournalCtl] = set()
        self._stopping = asyncio.Event()
        self._boundary = 0
        self._changed: float | None = None
        self._heard = self._looked = self._now()
        self._suspected = False
        self.started = self.empty = False
        self._complaint = ""
        self.ended = ""

    @property
    def caught_up(self) -> bool:
        """Whether all entries that were there at the start are read."""
        return self.started and self._boundary <= self._place.done

    @property
    def files(self) -> tuple[str, ...]:
        """The named files that are read, if files are named."""
        return tuple(sorted(path for path, _, _ in self._found))

    async def chunks(self) -> AsyncGenerator[Chunk, None]:
        """Entries as they come. Raises OSError where journalctl cannot be run."""
        await self._find_files()
        self._boundary = await self._newest()
        if self._stopping.is_set():
            return
        self.empty = not self._boundary
        expected = self._place.cursor.encode()
        arguments = ("--follow", "--no-tail", f"--output-fields={','.join(FIELDS)}", *self._place.arguments())
        async with self._run(*arguments) as process:
            self.started = True
            self._heard = self._looked = self._now()
            async for entries in self._entries(process):
                fresh = self._without(expected, entries)
                expected = b""
                for chunk in self._chunks_of(fresh):
                    yield chunk
            self.started = False
        if self._changed is None and not self._stopping.is_set():
            self.ended = self.ended or self._complaint

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
            self._complaint = await process.stop()
            self._running.discard(process)

    async def _newest(self) -> int:
        """When the newest entry came that the journal holds for us, microseconds; 0 if there is none."""
        if self._stopping.is_set():
            return 0
        parser, newest = ExportParser(), 0
        async with self._run("--lines=1", "--quiet", "--output-fields=_BOOT_ID") as process:
            while data := await process.read(_LOOK_PATIENCE):
                newest = max([newest, *(received_at(entry) for entry in parser.feed(data))])
        return newest

    async def _entries(self, process: JournalCtl) -> AsyncIterator[list[Entry]]:
        parser = ExportParser()
        while (data := await process.read(self._patience())) != b"" and not self._stopping.is_set():
            if data:
                self._heard, self._suspected = self._now(), False
                if entries := parser.feed(data):
                    yield entries
            if await self._rotated(quiet=data is None) or (data is None and await self._deaf()):
                return

    def _patience(self) -> float:
        """Seconds to wait for output before looking whether something is wrong."""
        if self._changed is not None:
            return self._options.drain
        if self._suspected:
            return self._options.grace
        return self._options.rescan if self._selection.files else self._options.silence

    async def _rotated(self, *, quiet: bool) -> bool:
        """Whether named files were replaced and the old ones are read: journalctl watches folders, not names."""
        now = self._now()
        if self._changed is not None:
            return quiet or now - self._changed >= self._options.overdue
        if self._selection.files and now - self._looked >= self._options.rescan:
            self._looked = now
            if await asyncio.to_thread(self._selection.found) != self._found:
                self._changed = now
        return False

    async def _deaf(self) -> bool:
        """Whether the journal holds newer entries, and still none came."""
        if self._suspected:
            self.ended = "journalctl fell silent while the journal went on"
            return True
        if self._now() - self._heard >= self._options.silence:
            self._heard = self._now()
            self._suspected = await self._newest() > self._place.done
        return False

    def _without(self, expected: bytes, entries: list[Entry]) -> list[Entry]:
        """The first entries without that of the cursor, which was read before."""
        if not expected:
            return entries
        fresh = [entry for entry in entries if entry.get(CURSOR) != expected]
        if len(fresh) == len(entries):
            logger.info("%s: the entry where reading ended has left the journal; going on with the next", self._key)
        return fresh

    def _chunks_of(self, entries: Sequence[Entry]) -> Iterator[Chunk]:
        for live, group in groupby(entries, key=lambda entry: received_at(entry) > self._boundary):
            batch = list(group)
            self._place.took(batch)
            self.empty = False
            yield Chunk(
                data=b"".join(map(line_of, batch)),
                origin=ORIGIN,
                received=self._clock(),
                position=self._place.position(self._key),
                live=live,
                times=tuple(map(time_of, batch)),
            )
