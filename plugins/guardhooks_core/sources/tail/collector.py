"""Collects the lines of all files of one source: finds the files, notices changes, reads in turn. In worker threads."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from guardhooks import Chunk, Position, StartAt, safe_text
from guardhooks_core.sources.tail import open_files
from guardhooks_core.sources.tail.absence import why_absent
from guardhooks_core.sources.tail.bisect_by_date import offset_since
from guardhooks_core.sources.tail.cursor import FileCursor, load
from guardhooks_core.sources.tail.follower import GRACE, Follower
from guardhooks_core.sources.tail.paths import Scan, has_magic, scan, without_rotations
from guardhooks_core.sources.tail.polling import PollingReason
from guardhooks_core.sources.tail.reader import LINE_LIMIT, TAIL_BYTES, LineReader, identity
from guardhooks_core.sources.tail.rewritten import TimeOf
from guardhooks_core.sources.tail.watch import Watcher

logger = logging.getLogger("guardhooks.tail")


@dataclass(frozen=True, slots=True)
class Options:
    """How a source reads. Times in seconds, sizes in bytes.

    `poll` is the interval if there are no events. `sweep` is the interval of checking every file, so that a lost event
    only causes a delay. `grace` is how long a rotated file is still read after its last line. `most_files` of a glob
    are read at most.
    """

    tail: bool = False
    polling: bool = False
    line_limit: int = LINE_LIMIT
    grace: float = GRACE
    poll: float = 0.25
    sweep: float = 2.0
    most_files: int = open_files.MOST


class Collector:
    """Reads all files of a normalised path or glob, each in order, alternating between files.

    `touch` may be called from any thread; the other methods take a lock, so that `close` waits for a running read.
    """

    def __init__(
        self,
        key: str,
        pattern: str,
        options: Options,
        *,
        watcher: Watcher,
        clock: Callable[[], float],
        wake: Callable[[], None],
    ) -> None:
        self._key = key
        self._pattern = pattern
        self._options = options
        self._watcher = watcher
        self._clock = clock
        self._wake = wake
        self._lock = threading.Lock()
        self._closed = False
        self.started = False
        self.followers: dict[str, Follower] = {}
        self._by_real: dict[str, Follower] = {}
        self._scan = Scan()
        self._watched: set[str] = set()
        self._touched_lock = threading.Lock()
        self._touched: set[str] = set()
        self._ready: dict[Follower, None] = {}
        self.absent = ""
        """Why there is no file, where the source is a single path and there is none."""
        self.unread = 0
        """Bytes that were there and not read at the end of the last `collect`."""
        self._time_of: TimeOf = lambda _: None
        self._failures: dict[str, str] = {}
        self._open_files = open_files.SHARED
        self._excess = ""
        self.polling = PollingReason("configured by the backend" if options.polling else "")

    @property
    def failures(self) -> Mapping[str, str]:
        """By path, why it cannot be read."""
        excess = {self._pattern: self._excess} if self._excess else {}
        return {**excess, **self._scan.problems, **self._failures}

    @property
    def busy(self) -> bool:
        """Whether there may be more to read now."""
        return bool(self._ready)

    @property
    def interval(self) -> float:
        """Seconds until the next sweep, if no event arrives before."""
        # A rotated file may be in a directory that is not watched, so it is checked often while it is open.
        rotating = any(follower.retired for follower in list(self.followers.values()))
        return self._options.poll if self.polling.reason or rotating else self._options.sweep

    def start(self, start: StartAt) -> None:
        """Open the existing files, at their saved positions or at what is newer than `start.since`."""
        with self._lock:
            self._time_of = start.time_of
            saved = self._load(start.positions)
            begin = self._beginning(start, saved)
            paths = self._find_paths({*saved})
            now = self._clock()
            elsewhere = {real for named, real in self._scan.files.items() if named in paths}
            for path in sorted({*paths, *saved}):
                if self._is_alias(path):
                    continue
                follower = self._new(path, begin=begin, live=self._options.tail)
                if path in saved:
                    lost = follower.resume(saved[path], now, elsewhere)
                    if lost and lost[-1] is saved[path][-1]:
                        logger.warning(
                            "%s: the file read before is gone; anything in it after byte %d was not read",
                            safe_text(path),
                            lost[-1].position,
                        )
                else:
                    follower.start_without_cursor(now)
            self._index_followers()
            self.started = True

    def touch(self, path: str) -> None:
        """A directory entry has changed. Called in the observer's threads."""
        self.polling.heard(path)
        # The worker replaces these objects and never changes them, so they can be read here without a lock.
        if path in self._by_real or self._scan.concerns(path):
            with self._touched_lock:
                self._touched.add(path)
            self._wake()

    def collect(self, *, sweep: bool, size: int) -> list[Chunk]:
        """The next lines, about `size` bytes; with `sweep`, all files are checked, with or without an event."""
        with self._lock:
            if self._closed:
                return []
            self._process_events(sweep=sweep)
            chunks: list[Chunk] = []
            budget = size
            while self._ready and budget > 0:
                follower = next(iter(self._ready))
                del self._ready[follower]
                chunk = self._read(follower, size)
                if chunk is None:
                    continue
                if sweep and follower.live:
                    self.polling.found(self._scan.files.get(follower.path, follower.path))
                chunks.append(chunk)
                budget -= len(chunk.data)
                self._ready[follower] = None
            self.unread = sum(follower.unread for follower in self.followers.values())
            if sweep:
                self.polling.swept()
            return chunks

    def close(self) -> None:
        """Release all files and watches."""
        with self._lock:
            self._closed = True
            self._watcher.unwatch(self._watched, self.touch)
            self._watched.clear()
            for follower in self.followers.values():
                follower.close()
            self._ready.clear()

    def _load(self, positions: Mapping[str, Position]) -> dict[str, tuple[FileCursor, ...]]:
        saved = {}
        for origin, position in positions.items():
            if not _names(self._pattern, origin):
                continue
            try:
                saved[origin] = load(position.cursor)
            except ValueError as error:
                logger.warning("%s: saved position is damaged (%s); starting without it", safe_text(origin), error)
        return saved

    def _beginning(self, start: StartAt, saved: Mapping[str, tuple[FileCursor, ...]]) -> Callable[[LineReader], None]:
        def begin(reader: LineReader) -> None:
            for file in (file for files in saved.values() for file in files):
                if file.inode == reader.identity[1] and file.position > 0 and file.fits(reader):
                    reader.seek(file.position, skipping=file.skipping)  # It was read under another name.
                    return
            if self._options.tail:
                _seek_end(reader, self._options.line_limit)
            else:
                reader.seek(offset_since(reader, start.since, start.time_of))

        return begin

    def _begin_copy(self, reader: LineReader) -> None:
        """Begin a file that has just appeared: at its start, or behind what was read of the file that it copies."""
        for other in [reader for follower in self.followers.values() for reader in follower.readers]:
            if (
                len(other.tail) == TAIL_BYTES
                and other.identity != reader.identity
                and FileCursor.of(other).fits(reader)
            ):
                reader.seek(other.position)
                return

    def _find_paths(self, bases: set[str]) -> list[str]:
        """Scan until all relevant directories are watched; returns the paths to follow."""
        for _ in range(16):  # Each round may find one more level of directories that were just created.
            self._scan = scan(self._pattern)
            if self._options.polling or not self._watch():
                break
        if not has_magic(self._pattern):
            self.absent = "" if os.path.exists(self._pattern) else why_absent(self._pattern)
            return [self._pattern]
        files = self._scan.files
        found = without_rotations(files, {*files, *self.followers, *bases})
        chosen = self._open_files.choose(self, found, {*self.followers, *bases}, self._options.most_files)
        self._excess = ""
        if len(chosen) < len(found):
            self._excess = (
                f"{len(found)} files match and only {len(chosen)} are read, so that others can be; "
                "name fewer in logpath, or raise the limit of open files (LimitNOFILE=)"
            )
        return chosen

    def _watch(self) -> bool:
        """Watch exactly the directories that the scan needs; returns whether any of them is new."""
        wanted = set(self._scan.interest)
        self._watcher.unwatch(self._watched - wanted, self.touch)
        self._watched &= wanted
        fresh = False
        for directory in wanted:
            try:
                fresh |= self._watcher.watch(directory, self.touch)
                self._watched.add(directory)
                self.polling.watching(directory)
            except (FileNotFoundError, NotADirectoryError):
                fresh = True  # It was deleted after the scan.
            except OSError as error:
                self.polling.refused(directory, error)
        return fresh

    def _process_events(self, *, sweep: bool) -> None:
        with self._touched_lock:
            touched, self._touched = self._touched, set()
        if sweep or any(path not in self._by_real for path in touched):
            self._rescan()
            self._ready.update(dict.fromkeys(self.followers.values()))
            return
        for path in touched:
            self._ready[self._by_real[path]] = None

    def _rescan(self) -> None:
        paths = self._find_paths(set())
        for path in paths:
            if path not in self.followers and not self._is_alias(path):
                self._new(path, begin=self._begin_copy, live=True)
        if has_magic(self._pattern):
            for path in [path for path in self.followers if path not in paths]:
                follower = self.followers[path]
                follower.check(self._clock())
                if not follower.readers and not follower.failure:
                    self._remove(follower)
        self._index_followers()

    def _remove(self, follower: Follower) -> None:
        del self.followers[follower.path]
        self._ready.pop(follower, None)
        self._failures = {path: why for path, why in self._failures.items() if path != follower.path}

    def _index_followers(self) -> None:
        self._by_real = {self._scan.files.get(path, path): one for path, one in self.followers.items()}
        self._ready.update(dict.fromkeys(self.followers.values()))

    def _is_alias(self, path: str) -> bool:
        """Whether the file at `path` is already read under another of our paths, which still leads to it."""
        file = _identity_at(path)
        return file is not None and any(
            other.current is not None and other.current.identity == file and _identity_at(other.path) == file
            for other in self.followers.values()
        )

    def _new(self, path: str, *, begin: Callable[[LineReader], None] | None, live: bool) -> Follower:
        follower = Follower(
            path,
            begin=begin,
            live=live,
            line_limit=self._options.line_limit,
            grace=self._options.grace,
            time_of=self._time_of,
        )
        file = _identity_at(path)
        for other in self.followers.values() if file is not None else ():
            assert file is not None
            other.check(self._clock())
            reader = other.release(file)
            if reader is not None:
                follower.adopt(reader)
                break
        self.followers[path] = follower
        return follower

    def _read(self, follower: Follower, size: int) -> Chunk | None:
        now = self._clock()
        live = follower.live
        data = follower.read(now, size)
        self._report(follower)
        if not data:
            return None
        position = Position(self._key, follower.path, follower.cursor())
        return Chunk(data, follower.path, now, position, live)

    def _report(self, follower: Follower) -> None:
        before = self._failures.get(follower.path, "")
        if follower.failure == before:
            return
        rest = {path: why for path, why in self._failures.items() if path != follower.path}
        if follower.failure:
            rest[follower.path] = follower.failure
        self._failures = rest


def _identity_at(path: str) -> tuple[int, int] | None:
    try:
        return identity(os.stat(path))
    except OSError:
        return None


def _names(pattern: str, origin: str) -> bool:
    """Whether the pattern matches this path."""
    globs, parts = pattern.split("/"), origin.split("/")
    return pattern == origin or (
        len(globs) == len(parts) and all(fnmatchcase(part, glob) for part, glob in zip(parts, globs, strict=True))
    )


def _seek_end(reader: LineReader, line_limit: int) -> None:
    """Seek to the start of the last, unterminated line, or to the end of the file."""
    end = reader.stat().st_size
    last = reader.bytes_before(end, line_limit + 1)
    unterminated = len(last) - (last.rfind(b"\n") + 1)
    reader.seek(end - unterminated if unterminated <= line_limit else end, skipping=unterminated > line_limit)
