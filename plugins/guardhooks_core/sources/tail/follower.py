"""Follows one log by its path through all rotations and rewrites: what is read next, and the cursor to resume from."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from guardhooks_core.sources.tail import rotations
from guardhooks_core.sources.tail.cursor import FileCursor, dump
from guardhooks_core.sources.tail.reader import LINE_LIMIT, LineReader, TruncatedError, identity, open_regular
from guardhooks_core.sources.tail.rewritten import Before, TimeOf, skip_known

GRACE: Final = 60.0
"""Seconds that a rotated or deleted file is still read after its last line: writers learn of a rotation late."""
MOST_RETIRED: Final = 8
"""Rotated files that stay open; beyond that the oldest are closed once they are read to the end."""


@dataclass(slots=True)
class Retired:
    """A file that is no longer at the path. It is closed at `until` if nothing more comes."""

    reader: LineReader
    until: float


class Follower:
    """Reads the log at `path`: first the rotated files, to their ends, then the current one.

    `live` is False until everything that existed at the start has been read. `failure` says why the path cannot be
    read; it is empty if it can, or if there is no file yet. All methods may block; call them in a worker thread.
    """

    def __init__(
        self,
        path: str,
        *,
        begin: Callable[[LineReader], None] | None,
        live: bool,
        line_limit: int = LINE_LIMIT,
        grace: float = GRACE,
        time_of: TimeOf = lambda _: None,
    ) -> None:
        self.path = path
        self.live = live
        self.failure = ""
        self.current: LineReader | None = None
        self.retired: list[Retired] = []
        self._begin = begin
        self._saved: Sequence[FileCursor] = ()
        self._before: Before | None = None
        self._time_of = time_of
        self._line_limit = line_limit
        self._grace = grace

    @property
    def readers(self) -> list[LineReader]:
        """All open files, in the order in which they are read."""
        current = [] if self.current is None else [self.current]
        return [*(retired.reader for retired in self.retired), *current]

    @property
    def unread(self) -> int:
        """Bytes that are there and were not read."""
        try:
            return sum(max(0, reader.stat().st_size - reader.position) for reader in self.readers)
        except OSError:  # A network file system lost the file; reading it reports that.
            return 0

    def resume(self, saved: Sequence[FileCursor], now: float, elsewhere: Collection[str]) -> list[FileCursor]:
        """Resume at saved cursors; returns those whose files were not found.

        `elsewhere` are paths that other followers read: files there are not taken for rotated files of this log.
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

    def start_without_cursor(self, now: float) -> None:
        """Start without a saved cursor; files that appear later are read from their start, as live."""
        self.check(now)
        if self.current is None and not self.failure:
            self._begin = None
            self.live = True

    def read(self, now: float, size: int) -> bytes:
        """The next whole lines, up to `size` bytes; empty if everything has been read."""
        self.check(now)
        lines = self._read_retired(now, size) or self._read_current(now, size)
        if not lines:
            self.live = True
        return lines

    def cursor(self) -> str:
        """The text from which reading resumes after the lines read so far."""
        return dump(FileCursor.of(reader) for reader in self.readers)

    def release(self, wanted: tuple[int, int]) -> LineReader | None:
        """Hand over the rotated file of this identity, which is now followed under another path."""
        for retired in self.retired:
            if retired.reader.identity == wanted:
                self.retired.remove(retired)
                return retired.reader
        return None

    def adopt(self, reader: LineReader) -> None:
        """Take over a file that was read under another path."""
        self.current = reader
        self._begin = None

    def close(self) -> None:
        for reader in self.readers:
            reader.close()
        self.retired.clear()
        self.current = None

    def check(self, now: float) -> None:
        """Check which file is at the path now; retire the previous one and open a new one."""
        try:
            status = os.stat(self.path)
            if self.current is None or identity(status) != self.current.identity:
                self._retire(now)
                self.current = self.release(identity(status))  # It was renamed and has come back.
                if self.current is None:
                    self._open(now)
                else:
                    self._before = None
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
            if reader.position == 0:
                self._before = Before.of(self.retired[-1].reader)

    def _retire(self, now: float) -> None:
        if self.current is not None:
            self.retired.append(Retired(self.current, now + self._grace))
            self.current = None
        self._begin = None if self.retired else self._begin

    def _add_generations(self, last: LineReader, now: float) -> None:
        """Add the files that were rotated unnoticed between `last` and the current one."""
        for reader in rotations.generations_since(self.path, last, self.readers, self._line_limit):
            self.retired.append(Retired(reader, now + self._grace))

    def _read_current(self, now: float, size: int) -> bytes:
        if self.current is None:
            return b""
        try:
            if self._before is not None and skip_known(self.current, self._before, self._time_of):
                self._before = None
            return self.current.read(size)
        except TruncatedError:
            self._restart(self.current, now)
            return self._read_retired(now, size) or self._read_current(now, size)
        except OSError as error:
            # A network file system may lose the file of a descriptor: open it again at the same position.
            self.failure = error.strerror or str(error)
            self._saved = [FileCursor.of(self.current)]
            self.current.close()
            self.current = None
            return b""

    def _restart(self, reader: LineReader, now: float) -> None:
        """After copytruncate, unread lines are in the copy, if it is in the same directory and not compressed."""
        copies, _ = rotations.find(self.path, [FileCursor.of(reader)], self._line_limit, ())
        self._before = Before.truncated(reader)
        for copy in copies:
            if copy.identity == reader.identity:
                copy.close()
            else:
                self._before = Before.of(copy)
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
        """Whether the writer has switched to a newer file, so that an unterminated line stays unterminated."""
        later = self.readers[self.retired.index(retired) + 1 :]
        return any(reader.stat().st_size > 0 for reader in later)

    def _drop(self, retired: Retired) -> None:
        if self.current is None:  # The path may come back with a copy of it.
            self._before = Before.of(retired.reader)
        retired.reader.close()
        self.retired.remove(retired)
