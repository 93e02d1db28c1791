"""Recognises a log that was rewritten instead of rotated, and finds where the lines that were not read before begin.

`sed -i`, `cp x; mv x log`, `tail -n 500`, a backup that is restored, a program that keeps its last lines: the file is
new, or shorter than what was read, and yet holds lines that were read before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from guardhooks_core.sources.tail.bisect_by_date import offset_since
from guardhooks_core.sources.tail.cursor import Fingerprint
from guardhooks_core.sources.tail.reader import BLOCK, HEAD_BYTES, RECENT_BYTES, TAIL_BYTES, LineReader

SEARCHED: Final = 64 << 20
"""Bytes at the end of a rewritten file in which the last lines that were read are looked for."""
SLACK: Final = 1.0
"""Seconds by which the first line of a new log may be older than the last one of the log before."""
_WINDOW: Final = 64 << 10

TimeOf: TypeAlias = Callable[[bytes], float | None]


@dataclass(frozen=True, slots=True)
class Before:
    """What a log held before it was rewritten: its first bytes, and the last ones up to the end of a line."""

    head: bytes
    recent: bytes

    @classmethod
    def of(cls, reader: LineReader) -> Before:
        """Of a file that is still there, up to its end: what was not read yet will be read from it."""
        recent = reader.bytes_before(reader.stat().st_size, RECENT_BYTES)
        return cls(reader.bytes_at(0, HEAD_BYTES), recent[: recent.rfind(b"\n") + 1])

    @classmethod
    def truncated(cls, reader: LineReader) -> Before:
        """Of a file whose former content is gone: what was read last."""
        return cls(reader.head, reader.recent)

    @property
    def tail(self) -> bytes:
        return self.recent[-TAIL_BYTES:]

    def newest(self, time_of: TimeOf) -> float | None:
        """The date of the last line that has one."""
        lines = reversed(self.recent.split(b"\n")[:-1])
        return next((time for line in lines if line and (time := time_of(line)) is not None), None)


def skip_known(reader: LineReader, before: Before, time_of: TimeOf) -> bool:
    """Move the reader behind the lines that were read before.

    False if that cannot be said yet, as what the file holds so far is old: ask again when there is more.
    """
    first_line = reader.bytes_at(0, _WINDOW).partition(b"\n")
    if not first_line[1]:
        return False
    newest = before.newest(time_of)
    known = _end_of(reader, before.tail, anywhere=newest is not None or len(before.tail) == TAIL_BYTES)
    if known >= 0:
        reader.seek(max(known, reader.position))
        return True
    if newest is None or not _is_rewritten(reader, first_line[0], before, newest, time_of):
        return True
    return _skip_to_newer(reader, newest, time_of)


def position_after(reader: LineReader, tail: Fingerprint) -> int:
    """The end of the last line that ends with the bytes of this fingerprint, -1 if there is none."""
    size = reader.stat().st_size
    start = max(0, size - SEARCHED)
    while size > start:
        low = max(start, size - BLOCK)
        block = reader.bytes_at(max(0, low - tail.length), size - max(0, low - tail.length))
        end = block.rfind(b"\n") + 1
        while end >= tail.length and end > 0:
            if Fingerprint.of(block[end - tail.length : end]) == tail:
                return max(0, low - tail.length) + end
            end = block.rfind(b"\n", 0, end - 1) + 1
        size = low
    return -1


def _end_of(reader: LineReader, text: bytes, *, anywhere: bool) -> int:
    """The end of the last occurrence of `text`, -1 if there is none; unless `anywhere`, only at the start counts."""
    if not text:
        return -1
    if not anywhere:
        return len(text) if reader.bytes_at(0, len(text)) == text else -1
    end = reader.stat().st_size
    stop = max(0, end - SEARCHED)
    while end > stop:
        low = max(stop, end - BLOCK)
        found = reader.bytes_at(low, end - low + len(text) - 1).rfind(text)
        if found >= 0:
            return low + found + len(text)
        end = low
    return -1


def _is_rewritten(reader: LineReader, first_line: bytes, before: Before, newest: float, time_of: TimeOf) -> bool:
    """Whether the file starts with lines that are older than what was read last, or with the same line."""
    if reader.position > 0:  # It was found to be at an earlier call.
        return True
    lines = reader.bytes_at(0, _WINDOW).split(b"\n")[:-1]
    times = ((line, time_of(line)) for line in lines)
    line, oldest = next(((line, time) for line, time in times if time is not None), (b"", None))
    if oldest is None:
        return False
    return oldest < newest - SLACK or (line == first_line and before.head.startswith(first_line + b"\n"))


def _skip_to_newer(reader: LineReader, newest: float, time_of: TimeOf) -> bool:
    """Move to the first line that is dated after `newest`, or to the end of the last line: then False."""
    position = max(reader.position, offset_since(reader, newest, time_of))
    while True:
        window = reader.bytes_at(position, _WINDOW)
        lines = window.split(b"\n")
        if len(lines) == 1 and len(window) < _WINDOW:
            reader.seek(position)
            return False
        for line in lines[:-1]:
            time = time_of(line)
            if time is not None and time > newest:
                reader.seek(position)
                return True
            position += len(line) + 1
        if len(lines) == 1:  # A line that is longer than the window.
            position += len(window)
