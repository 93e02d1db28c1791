"""Reads whole lines of one open file: position, check of what precedes it, overlong lines, holes of NULs."""

from __future__ import annotations

import os
import stat
from typing import Final

BLOCK: Final = 1 << 20
"""Bytes of whole lines that are returned at a time, at most."""
LINE_LIMIT: Final = 64 << 10
"""Bytes of a line that are kept by default; the rest of a longer line is skipped."""
HEAD_BYTES: Final = 256
"""Bytes from the start of a file that identify it."""
TAIL_BYTES: Final = 128
"""Bytes before the position that identify a file."""
RECENT_BYTES: Final = 4096
"""Bytes before the position that are kept, to recognise their lines where the file is rewritten in place."""
HOLE: Final = bytes(16)
"""This many NULs at the start of a line are a hole in the file, not text."""

_KINDS: Final = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a character device"),
    (stat.S_ISBLK, "a block device"),
)


class TruncatedError(Exception):
    """What was read before is no longer in the file: it was truncated, and perhaps rewritten."""


class NotRegularError(OSError):
    """The path is not a regular file; `strerror` says what it is."""


def open_regular(path: str) -> int:
    """Descriptor of the file at `path`; symbolic links are followed.

    :raises OSError: if it cannot be opened; `NotRegularError` for a FIFO, device, socket or directory.
    """
    _refuse_special(os.stat(path), path)  # Before opening, as opening a device may already have effects.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        _refuse_special(os.fstat(descriptor), path)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _refuse_special(status: os.stat_result, path: str) -> None:
    if stat.S_ISREG(status.st_mode):
        return
    kind = next((name for is_kind, name in _KINDS if is_kind(status.st_mode)), "no regular file")
    raise NotRegularError(0, f"is {kind}, not a file", path)


def identity(status: os.stat_result) -> tuple[int, int]:
    """What distinguishes files that exist at the same time: device and inode."""
    return status.st_dev, status.st_ino


class LineReader:
    """Reads whole lines of one descriptor, which it owns.

    `position` is the start of the next line or, while `skipping`, a position in a line whose start was returned.
    Nothing is buffered between reads. Invariant: `recent` and `tail` are the bytes before `position`, `head` the first
    bytes of the file; all were read, so they never change in a log that is only appended to.
    """

    def __init__(self, descriptor: int, *, line_limit: int = LINE_LIMIT) -> None:
        self._descriptor = descriptor
        self._line_limit = line_limit
        self.identity = identity(os.fstat(descriptor))
        self.position = 0
        self.skipping = False
        self.head = b""
        self.recent = b""

    def seek(self, position: int, *, skipping: bool = False) -> None:
        """Continue at `position`, the start of a line (with `skipping`, a position in a line to skip)."""
        self.position = position
        self.skipping = skipping
        self.recent = self.bytes_before(position, RECENT_BYTES)
        self.head = self.bytes_at(0, min(position, HEAD_BYTES))

    @property
    def tail(self) -> bytes:
        return self.recent[-TAIL_BYTES:]

    def stat(self) -> os.stat_result:
        return os.fstat(self._descriptor)

    def bytes_at(self, position: int, count: int) -> bytes:
        return os.pread(self._descriptor, count, position) if count > 0 else b""

    def bytes_before(self, position: int, count: int) -> bytes:
        start = max(0, position - count)
        return self.bytes_at(start, position - start)

    def data_from(self, position: int) -> int:
        """The next position from `position` on that contains data instead of a hole; else the end of the file."""
        try:
            return os.lseek(self._descriptor, position, os.SEEK_DATA)
        except OSError:
            return max(position, self.stat().st_size)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def read(self, size: int = BLOCK) -> bytes:
        """The next whole lines, up to `size` bytes or two lines of maximum length; empty if there are none yet.

        :raises TruncatedError: if the bytes before `position` have changed.
        """
        while True:
            tail = self.tail
            before = len(tail)
            wanted = before + max(size, 2 * self._line_limit)
            block = os.pread(self._descriptor, wanted, self.position - before)
            if block[:before] != tail:
                raise TruncatedError
            lines, consumed = self._split(block[before:])
            if not consumed:
                return b""
            self._advance(block, before, before + consumed)
            if lines:
                return lines

    def rest(self) -> bytes:
        """The unterminated last line with a newline added, for when nothing more will come; empty if there is none."""
        rest = self.bytes_at(self.position, self._line_limit)
        self.seek(self.position + len(rest), skipping=self.skipping)
        text = b"" if self.skipping else rest.strip(b"\0")
        return text + b"\n" if text else b""

    def _advance(self, block: bytes, start: int, end: int) -> None:
        self.position += end - start
        if end > len(block):  # A hole was skipped.
            self.recent = self.bytes_before(self.position, RECENT_BYTES)
        elif end >= RECENT_BYTES:
            self.recent = block[end - RECENT_BYTES : end]
        else:
            self.recent = (self.recent + block[start:end])[-RECENT_BYTES:]
        if len(self.head) < HEAD_BYTES:
            self.head = self.bytes_at(0, min(self.position, HEAD_BYTES))

    def _split(self, data: bytes) -> tuple[bytes, int]:
        """The lines at the start of `data` to return, and the number of bytes that are consumed."""
        if self.skipping:
            return self._skip(data)
        if data.startswith(HOLE):
            return b"", self._hole(data)
        hole = data.find(b"\n" + HOLE)
        if hole >= 0:
            data = data[: hole + 1]
        end = data.rfind(b"\n") + 1
        long = self._long_line(data, end)
        if long == 0:
            self.skipping = True
            return data[: self._line_limit] + b"\n", self._line_limit
        if long > 0:
            end = long
        return data[:end], end

    def _skip(self, data: bytes) -> tuple[bytes, int]:
        newline = data.find(b"\n")
        if newline < 0:
            return b"", len(data)
        self.skipping = False
        return b"", newline + 1

    def _hole(self, data: bytes) -> int:
        nulls = len(data) - len(data.lstrip(b"\0"))
        if nulls < len(data):
            return nulls
        return max(nulls, self.data_from(self.position + nulls) - self.position)

    def _long_line(self, data: bytes, end: int) -> int:
        """Start of the first line of `data` that is longer than the limit, or -1; whole lines end at `end`."""
        start = 0
        while start + self._line_limit < len(data):
            newline = data.rfind(b"\n", start, start + self._line_limit + 1)
            if newline < 0:
                return start
            start = newline + 1
            if start >= end:
                return -1
        return -1
