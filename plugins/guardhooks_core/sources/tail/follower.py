"""One log by its path, through all rotations: what is read next, and the cursor that goes on from there."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from guardhooks_core.sources.tail import rotations
from guardhooks_core.sources.tail.cursor import FileCursor, dump
from guardhooks_core.sources.tail.reader import LINE_LIMIT, LineReader, TruncatedError, identity, open_regular

GRACE: Final = 60.0
"""Seconds for which a rotated or deleted file is read on after its last line: writers are told of a rotation late."""
MOST_RETIRED: Final = 8
"""Rotated files kept open; beyond that the oldest are let go as soon as they are read to the end."""


@dataclass(slots=True)
class Retired:
    """A file that is no longer under the path. `until` is when it is given up if nothing more comes."""

    reader: LineReader
    until: float


class Follower:
    """Reads the log at `path`: files that were rotated away first, to their ends, then the one that is there now.

    `live` is False until everything that was there at the start has been read. `failure` says why the path cannot be
    read, empty if it can or if there is nothing yet. All methods may block and belong into a worker thread.
    """

    def __init__(
        self,
        path: str,
        *,
        begin: Callable[[LineReader], None] | None,
        live: bool,
        line_limit: int = LINE_LIMIT,
        grace: float = GRACE,
    ) -> None:
        self.path = path
        self.live = live
        self.failure = ""
        self.current: LineReader | None = None
        self.retired: list[Retired] = []
        self._begin = begin
        self._saved: Sequence[FileCursor] = ()
        self._line_limit = line_limit
        self._grace = grace

    @property
    def readers(self) -> list[LineReader]:
        """All open files, in the order in which they are read."""
        current = [] if self.current is None else [self.current]
        return [*(retired.reader for retired in self.retired), *current]

    def resume(self, saved: Sequence[FileCursor], now: float, elsewhere: Collection[str]) -> list[FileCursor]:
        """Go on at saved cursors; those of files that were not found again are returned.

        `elsewhere` are paths that others follow: what is there is not taken for a rotated file of this log.
        """
        self._saved = saved
        self._begin = None
        self.check(now)
        unclaimed = [file for file in saved if self.current is None or not rotations.is_at(file, self.current)]
        found, lost = rotations.find(self.path, unclaimed, self._line_limit, elsewhere)
        held = {reader.identity for reader in self.readers}
        self.retired = [Retired(reader, now + self._grace) for reader in found if reader.identity not in held]
        for reader in found:
            if reader.identity in held:
                reader.close()
        if found and self.current is not None and len(unclaimed) == len(saved):
            self._add_generations(found[-1], now)
        return lost

    def first_sight(self, now: float) -> None:
        """Look for the first time, without a saved cursor; what appears after this is read from its start, live."""
        self.check(now)
        if self.current is None and not self.failure:
            self._begin = None
            self.live = True

    def read(self, now: float, size: int) -> bytes:
        """The next whole lines, up to `size` bytes; empty when all that is there has been read."""
        self.check(now)
        lines = self._read_retired(now, size) or self._read_current(now, size)
        if not lines:
            self.live = True
        return lines

    def cursor(self) -> str:
        """Text that goes on behind the lines read so far."""
        return dump(FileCursor.of(reader) for reader in self.readers)

    def release(self, wanted: tuple[int, int]) -> LineReader | None:
        """Give away the rotated file of this identity, which is now followed under another path."""
        for retired in self.retired:
            if retired.reader.identity == wanted:
                self.retired.remove(retired)
                return retired.reader
        return None

    def adopt(self, reader: LineReader) -> None:
        """Go on with a file that was read so far under another path."""
        self.current = reader
        self._begin = None

    def close(self) -> None:
        for reader in self.readers:
            reader.close()
        self.retired.clear()
        self.current = None

    def check(self, now: float) -> None:
        """See what is under the path now; a file that is not any more is retired, a new one opened."""
        try:
            status = os.stat(self.path)
            if self.current is None or identity(status) != self.current.identity:
                self._retire(now)
                self._open(now)
            self.failure = ""
        except (FileNotFoundError, NotADirectoryError):
            self.failure = ""
            self._retire(now)
        except OSError as error:
            self.failure = error.strerror or str(error)

    def _open(self, now: float) -> None:
        reader = LineReader(open_regular(self.path), line_limit=self._line_limit)
        if self._saved:
            rotations.seek_saved(reader, self._saved)
        elif self._begin is not None:
            self._begin(reader)
        self.current = reader
        self._begin = None
        self._saved = ()
        if self.retired:
            self._add_generations(self.retired[-1].reader, now)

    def _retire(self, now: float) -> None:
        if self.current is not None:
            self.retired.append(Retired(self.current, now + self._grace))
            self.current = None
        self._begin = None if self.retired else self._begin

    def _add_generations(self, last: LineReader, now: float) -> None:
        """Files that were rotated through the path unseen, between `last` and the current one."""
        for reader in rotations.generations_since(self.path, last, self.readers, self._line_limit):
            self.retired.append(Retired(reader, now + self._grace))

    def _read_current(self, now: float, size: int) -> bytes:
        if self.current is None:
            return b""
        try:
            return self.current.read(size)
        except TruncatedError:
            self._restart(self.current, now)
            return self._read_retired(now, size) or self._read_current(now, size)
        except OSError as error:
            # A network file system may lose the file behind a descriptor: open it anew and go on where we were.
            self.failure = error.strerror or str(error)
            self._saved = [FileCursor.of(self.current)]
            self.current.close()
            self.current = None
            return b""

    def _restart(self, reader: LineReader, now: float) -> None:
        """After copytruncate: what was not read yet is in the copy, if that is beside the log and not compressed."""
        copies, _ = rotations.find(self.path, [FileCursor.of(reader)], self._line_limit, ())
        for copy in copies:
            if copy.identity == reader.identity:
                copy.close()
            else:
                self.retired.append(Retired(copy, now + self._grace))
                self._add_generations(copy, now)
        reader.seek(0)

    def _read_retired(self, now: float, size: int) -> bytes:
        for retired in list(self.retired):
            try:
                lines = retired.reader.read(size)
            except (TruncatedError, OSError):
                self._drop(retired)
                continue
            if lines:
                retired.until = now + self._grace
                return lines
            over = now >= retired.until or self.retired.index(retired) < len(self.retired) - MOST_RETIRED
            if over or self._is_succeeded(retired):
                lines = retired.reader.rest()
            if over:
                self._drop(retired)
            if lines:
                return lines
        return b""

    def _is_succeeded(self, retired: Retired) -> bool:
        """Whether the writer has gone on to a newer file, so that an unterminated line stays so."""
        later = self.readers[self.retired.index(retired) + 1 :]
        return any(reader.stat().st_size > 0 for reader in later)

    def _drop(self, retired: Retired) -> None:
        retired.reader.close()
        self.retired.remove(retired)
