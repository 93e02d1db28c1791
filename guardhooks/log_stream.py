"""A text stream that never waits for its reader: a log that nobody reads must not stop the guard.

A pipe whose reader has stopped blocks whoever writes into it forever. What does not fit at once is kept, bounded, and
written by a thread of its own when there is room.
"""

from __future__ import annotations

import _thread
import io
import select
import threading
from collections import deque
from typing import Final, TextIO

_PIECE: Final = 1000
"""Characters written at a time: at most 4,000 bytes; where poll(2) says that there is room, 4,096 fit (PIPE_BUF)."""
_KEPT: Final = 4_000_000
"""Characters that wait for the reader at most."""
_LOOK: Final = 0.2
"""Seconds between two looks whether there is room, for a stream that poll(2) does not wake for."""


class PatientStream(io.TextIOBase):
    """Writes to `stream`, of which it is the only writer."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._kept: deque[str] = deque()
        self._size = 0
        self._drained = threading.Event()
        self._drained.set()
        self._poll = _poll_of(stream)

    def write(self, text: str) -> int:
        """Write at once what there is room for, keep the rest.

        :raises OSError: when too much is kept already, or the stream takes nothing (a full disk).
        """
        with self._lock:
            if not self._kept:
                written = self._write_now(text)
                if written == len(text):
                    return written
                text = text[written:]
            if self._size + len(text) > _KEPT:
                raise BlockingIOError("whoever reads this log has stopped reading")
            self._kept.append(text)
            self._size += len(text)
            if self._drained.is_set():
                self._drained.clear()
                try:
                    _thread.start_new_thread(self._drain, ())  # which waits for nothing, unlike Thread.start
                except RuntimeError:  # no more threads: the next line tries again
                    self._drained.set()
        return len(text)

    def flush(self) -> None:
        """Every piece is flushed when it is written."""

    def wait(self, seconds: float) -> bool:
        """Wait until nothing is kept any more; False if it took too long."""
        return self._drained.wait(seconds)

    def _write_now(self, text: str) -> int:
        done = 0
        while done < len(text) and self._has_room(0.0):
            piece = text[done : done + _PIECE] if self._poll is not None else text[done:]
            self._stream.write(piece)
            self._stream.flush()
            done += len(piece)
        return done

    def _has_room(self, seconds: float) -> bool:
        return self._poll is None or bool(self._poll.poll(seconds * 1000))

    def _drain(self) -> None:
        while True:
            self._has_room(_LOOK)
            with self._lock:
                try:
                    while self._kept and (written := self._write_now(self._kept[0])):
                        self._size -= written
                        rest = self._kept.popleft()[written:]
                        if rest:
                            self._kept.appendleft(rest)
                except (OSError, ValueError):  # the reader is gone, or the stream is closed
                    self._kept.clear()
                    self._size = 0
                if not self._kept:
                    self._drained.set()
                    return


def _poll_of(stream: TextIO) -> select.poll | None:
    """What says whether a stream has room; None for one that is not a file of the system."""
    try:
        number = stream.fileno()
    except (OSError, ValueError, AttributeError):
        return None
    poll = select.poll()
    poll.register(number, select.POLLOUT)
    return poll
