"""The daemon's own log: to stderr, in the layout that tools know from fail2ban, safe to show on a terminal."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, TextIO, cast

from guardhooks.log_stream import PatientStream
from guardhooks.text import safe_text

NOTICE: Final = 25
LEVELS: Final = {"CRITICAL": 50, "ERROR": 40, "WARNING": 30, "NOTICE": NOTICE, "INFO": 20, "DEBUG": 10}
_FORMAT: Final = "%(asctime)s,%(msecs)03d %(name)-24s[%(process)d]: %(levelname)-7s %(message)s"
_LONGEST: Final = 10_000
"""Characters of a line."""
_ROOT: Final = "guardhooks"


class SafeFormatter(logging.Formatter):
    """Escapes whatever is not printable in every line: part of what is logged was written by attackers."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(safe_text(line, _LONGEST) for line in super().format(record).split("\n"))


class DaemonFormatter(SafeFormatter):
    """`2026-11-22 10:09:41,123 guardhooks.actions      [4711]: NOTICE  [sshd] Ban 192.0.2.1`."""

    def __init__(self) -> None:
        super().__init__(_FORMAT, datefmt="%Y-%m-%d %H:%M:%S")
        self._second = 0
        self._head = ""

    def format(self, record: logging.LogRecord) -> str:
        """As `SafeFormatter`; most lines need no escaping, and many are of one second."""
        text = record.getMessage()
        if record.exc_info or record.stack_info or not text.isprintable() or len(text) > _LONGEST:
            return super().format(record)
        if self._second != int(record.created):
            self._second = int(record.created)
            self._head = self.formatTime(record, self.datefmt)
        return f"{self._head},{int(record.msecs):03d} {record.name:<24}[{record.process}]: {record.levelname:<7} {text}"


class LogHandler(logging.StreamHandler[TextIO]):
    """Writes each line at once, or many `together`. A line that cannot be written is counted and reported later."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._kept: list[str] | None = None
        self._lost = 0
        self._reason = ""

    def emit(self, record: logging.LogRecord) -> None:
        if self._lost:
            self._report_lost()
        if self._kept is None:
            super().emit(record)
            return
        try:
            self._kept.append(self.format(record) + self.terminator)
        except Exception:  # noqa: BLE001 -- as logging's own handlers: logging must not fail its caller
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 -- logging's name
        """Count a line that could not be written for lack of space or memory; a bug is shown as logging shows it."""
        error = sys.exc_info()[1]
        if isinstance(error, (OSError, MemoryError)):
            self._lose(1, error)
        else:
            super().handleError(record)

    def keep(self) -> None:
        """Write nothing until `write_kept`."""
        with self._guarded():
            self._kept = []

    def write_kept(self) -> None:
        """Write what was kept, and from now on each line at once."""
        with self._guarded():
            kept, self._kept = self._kept, None
            if kept:
                try:
                    self._write("".join(kept))
                except (OSError, MemoryError) as error:
                    self._lose(len(kept), error)

    def _report_lost(self) -> None:
        text = f"{self._lost} lines of this log may be missing above: {self._reason}"
        record = logging.LogRecord(f"{_ROOT}.daemon", logging.ERROR, "", 0, "%s", (text,), None)
        with suppress(OSError, MemoryError):
            self._write(self.format(record) + self.terminator)
            self._lost = 0

    def _lose(self, lines: int, error: Exception) -> None:
        self._lost += lines
        self._reason = "out of memory" if isinstance(error, MemoryError) else safe_text(str(error))

    def _write(self, text: str) -> None:
        self.stream.write(text)
        self.flush()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        self.acquire()
        try:
            yield
        finally:
            self.release()


@contextmanager
def together() -> Iterator[None]:
    """Write what is logged within in one go, at the end: a thousand bans at once need no thousand system calls."""
    handlers = [handler for handler in logging.getLogger(_ROOT).handlers if isinstance(handler, LogHandler)]
    for handler in handlers:
        handler.keep()
    try:
        yield
    finally:
        for handler in handlers:
            handler.write_kept()


def set_up(level: str, stream: TextIO = sys.stderr) -> None:
    """Log to `stream` from `level` on, one of `LEVELS`; calling it again changes the level."""
    logging.addLevelName(NOTICE, "NOTICE")
    # Nobody asks for the place in the code or the thread of a line: see "Optimization" in Python's logging HOWTO.
    logging._srcfile = None  # noqa: SLF001
    logging.logThreads = logging.logMultiprocessing = False
    root = logging.getLogger(_ROOT)
    root.setLevel(LEVELS[level])
    if not root.handlers:
        handler = LogHandler(cast("TextIO", PatientStream(stream)))
        handler.setFormatter(DaemonFormatter())
        root.addHandler(handler)
        root.propagate = False


def wait(seconds: float) -> None:
    """Give what is still to be written some time, at the end of the process."""
    for handler in logging.getLogger(_ROOT).handlers:
        if isinstance(handler, LogHandler) and isinstance(handler.stream, PatientStream):
            handler.stream.wait(seconds)
