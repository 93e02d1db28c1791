"""The daemon's own log: to stderr, in the layout that tools know from fail2ban, safe to show on a terminal.

Under systemd, whose journal adds time and pid, each line has a priority in place of them.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TextIO, cast

from guardhooks.log_stream import PatientStream
from guardhooks.text import plural, safe_text

NOTICE: Final = 25
LEVELS: Final = {"CRITICAL": 50, "ERROR": 40, "WARNING": 30, "NOTICE": NOTICE, "INFO": 20, "DEBUG": 10}
_FORMAT: Final = "%(asctime)s,%(msecs)03d %(name)-24s[%(process)d]: %(levelname)-7s %(message)s"
_PRIORITIES: Final = ((50, 2), (40, 3), (30, 4), (NOTICE, 5), (20, 6), (0, 7))
"""Levels, from high to low, and syslog's priorities (sd-daemon(3))."""
_LONGEST: Final = 10_000
"""Characters of a line."""
_ROOT: Final = "guardhooks"


class SafeFormatter(logging.Formatter):
    """Escapes whatever is not printable in every line: part of what is logged was written by attackers."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(safe_text(line, _LONGEST) for line in super().format(record).split("\n"))


class HeadFormatter(SafeFormatter):
    """Lines with a head that is the same for all of one moment, logger and level."""

    def head(self, record: logging.LogRecord) -> str:
        """What stands before the message."""
        raise NotImplementedError

    def format(self, record: logging.LogRecord) -> str:
        """As `SafeFormatter`; most lines need no escaping."""
        text = record.getMessage()
        if record.exc_info or record.stack_info or not is_plain(text):
            return super().format(record)
        return self.head(record) + text


def is_plain(text: str) -> bool:
    """Whether a message is a line that needs no escaping."""
    return text.isprintable() and len(text) <= _LONGEST


class DaemonFormatter(HeadFormatter):
    """`2026-11-22 10:09:41,123 guardhooks.actions      [4711]: NOTICE  [sshd] Ban 192.0.2.1`."""

    def __init__(self) -> None:
        super().__init__(_FORMAT, datefmt="%Y-%m-%d %H:%M:%S")
        self._second = 0
        self._time = ""

    def head(self, record: logging.LogRecord) -> str:
        """Time, logger, process and level; many lines are of one second."""
        if self._second != int(record.created):
            self._second = int(record.created)
            self._time = self.formatTime(record, self.datefmt)
        return f"{self._time},{int(record.msecs):03d} {record.name:<24}[{record.process}]: {record.levelname:<7} "


class JournalFormatter(HeadFormatter):
    """`<5>guardhooks.actions: NOTICE  [sshd] Ban 192.0.2.1`: what systemd's journal reads from stderr.

    It takes the priority of each line from its front (sd-daemon(3)), and adds time and pid itself.
    """

    def __init__(self) -> None:
        super().__init__("%(name)s: %(levelname)-7s %(message)s")

    def head(self, record: logging.LogRecord) -> str:
        """Priority, logger and level."""
        return f"<{priority_of(record.levelno)}>{record.name}: {record.levelname:<7} "

    def format(self, record: logging.LogRecord) -> str:
        """Every line of a traceback has the priority, too."""
        first, *rest = super().format(record).split("\n")
        mark = f"<{priority_of(record.levelno)}>"
        return "\n".join([first if first.startswith(mark) else mark + first, *(mark + line for line in rest)])


def priority_of(level: int) -> int:
    """Syslog's priority for a level of the logging module."""
    return next(number for least, number in _PRIORITIES if level >= least)


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

    def emit_lines(self, record: logging.LogRecord, texts: Iterable[str]) -> None:
        """Write a line for each text, all together, with level and time of one record."""
        formatter = self.formatter
        head = formatter.head(record) if isinstance(formatter, HeadFormatter) else None
        lines = []
        for text in texts:
            record.msg = text
            plain = head is not None and is_plain(text)
            lines.append(f"{head}{text}{self.terminator}" if plain else self.format(record) + self.terminator)
        with self._guarded():
            if self._kept is not None:
                self._kept += lines
                return
            self._kept = lines
        self.write_kept()

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
        text = f"{plural(self._lost, 'line')} of this log may be missing above: {self._reason}"
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


def log_lines(logger: logging.Logger, level: int, texts: Iterable[str]) -> None:
    """Log many lines at once: a third of the time that as many calls take."""
    if not logger.isEnabledFor(level):
        return
    root = logging.getLogger(_ROOT)
    handlers = [handler for handler in root.handlers if isinstance(handler, LogHandler)]
    if root.propagate or len(handlers) < len(root.handlers) or logger.handlers:  # others listen, too
        for text in texts:
            logger.log(level, "%s", text)
        return
    lines = list(texts)
    for handler in handlers:
        handler.emit_lines(logger.makeRecord(logger.name, level, "", 0, "", (), None), lines)


def is_journal(stream: TextIO) -> bool:
    """Whether the stream leads to systemd's journal: `JOURNAL_STREAM` names its device and inode (systemd.exec(5))."""
    with suppress(OSError, ValueError):
        found = os.fstat(stream.fileno())
        return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"
    return False


def set_up(level: str, stream: TextIO | None = sys.stderr) -> None:
    """Log to `stream` from `level` on, one of `LEVELS`; calling it again changes the level."""
    logging.addLevelName(NOTICE, "NOTICE")
    # Nobody asks for the place in the code or the thread of a line: see "Optimization" in Python's logging HOWTO.
    logging._srcfile = None  # noqa: SLF001
    logging.logThreads = logging.logMultiprocessing = False
    root = logging.getLogger(_ROOT)
    root.setLevel(LEVELS[level])
    if not root.handlers:
        root.addHandler(stream_handler(stream))
        root.propagate = False


def stream_handler(stream: TextIO | None) -> LogHandler:
    """A handler that writes to a stream without waiting for its reader, in the form that the reader takes.

    :param stream: None, as Python has it where the descriptor was closed at the start: nothing is written.
    """
    if stream is None:
        stream = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 -- open as long as the process
    handler = LogHandler(cast("TextIO", PatientStream(stream)))
    handler.setFormatter(JournalFormatter() if is_journal(stream) else DaemonFormatter())
    return handler


def wait(seconds: float) -> None:
    """Give what is still to be written some time, at the end of the process."""
    for handler in logging.getLogger(_ROOT).handlers:
        if isinstance(handler, LogHandler) and isinstance(handler.stream, PatientStream):
            handler.stream.wait(seconds)
