"""Where the daemon's log goes: standard error, standard output, a file that can be rotated, or syslog.

In a file and in syslog the loggers have fail2ban's names (`fail2ban.actions`), unless they are to have ours: logwatch,
netdata and filters such as fail2ban's recidive look for them.
"""

from __future__ import annotations

import logging
import os
import socket
import stat
import sys
from pathlib import Path
from typing import Final, TextIO

from guardhooks.errors import StateError
from guardhooks.logs import DaemonFormatter, HeadFormatter, LogHandler, SafeFormatter, priority_of, stream_handler

STDERR: Final = "STDERR"
STDOUT: Final = "STDOUT"
SYSLOG: Final = "SYSLOG"
STREAMS: Final = (STDERR, STDOUT)
_ROOT: Final = "guardhooks"
_FAIL2BAN: Final = "fail2ban"
_SYSLOG_SOCKET: Final = "/dev/log"
_DAEMON: Final = 3 << 3
"""The facility `daemon` of syslog."""

logger = logging.getLogger("guardhooks.daemon")


class Renamed(HeadFormatter):
    """As the lines of another formatter, with another name in front: `fail2ban.actions`."""

    def __init__(self, prefix: str, inner: HeadFormatter) -> None:
        super().__init__()
        self._prefix, self._inner = prefix, inner

    def head(self, record: logging.LogRecord) -> str:
        """The head with the other name."""
        return self._inner.head(self._renamed(record))

    def format(self, record: logging.LogRecord) -> str:
        """The line with the other name."""
        return self._inner.format(self._renamed(record))

    def _renamed(self, record: logging.LogRecord) -> logging.LogRecord:
        """The record itself keeps its name: other handlers get it, too."""
        return logging.makeLogRecord({**record.__dict__, "name": self._prefix + record.name.removeprefix(_ROOT)})


class LogFile(LogHandler):
    """Appends to a file, which `reopen` opens again when it was rotated."""

    def __init__(self, path: Path) -> None:
        """:raises StateError: when it cannot be opened."""
        self.path = path
        super().__init__(_opened(path))

    def reopen(self) -> None:
        """Write to what has the file's name now, created if need be. :raises StateError: when it cannot be opened."""
        former, new = self.stream, _opened(self.path)
        self.acquire()
        try:
            self.stream = new
        finally:
            self.release()
        former.close()


class Syslog(logging.Handler):
    """Sends lines to the local syslog; one that it does not take at once is lost and counted."""

    def __init__(self) -> None:
        """:raises StateError: when there is no syslog."""
        super().__init__()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._lost = 0
        try:
            self._socket.connect(_SYSLOG_SOCKET)
        except OSError as error:
            self._socket.close()
            raise StateError(f"logtarget SYSLOG: {_SYSLOG_SOCKET}: {error.strerror}") from error

    def emit(self, record: logging.LogRecord) -> None:
        priority = _DAEMON | priority_of(record.levelno)
        lost = f" ({self._lost} lines before were lost)" if self._lost else ""
        text = f"<{priority}>{_FAIL2BAN}[{os.getpid()}]: {self.format(record)}{lost}"
        try:
            self._socket.send(text.encode("utf-8", "replace"))
            self._lost = 0
        except OSError:
            self._lost += 1

    def close(self) -> None:
        self._socket.close()
        super().close()


def set_target(target: str, names: str = "") -> None:
    """Log to `STDERR`, `STDOUT`, `SYSLOG` or the file of this path from now on.

    :param names: `guardhooks` or `fail2ban`, the first part of the loggers' names; empty: ours on the streams only.
    :raises StateError: when the target cannot be used; then everything stays as it was.
    """
    ours = names == _ROOT or (not names and target in STREAMS)
    handler: logging.Handler
    if target in STREAMS:
        handler = stream_handler(sys.stderr if target == STDERR else sys.stdout)
        handler.set_name(target)
    elif target == SYSLOG:
        handler = Syslog()
        name = "%(name)s" if ours else _FAIL2BAN
        handler.setFormatter(SafeFormatter(f"{name}: %(levelname)-7s %(message)s"))
    else:
        handler = LogFile(Path(target))
        handler.setFormatter(DaemonFormatter())
    if not ours and isinstance(handler.formatter, HeadFormatter):
        handler.setFormatter(Renamed(_FAIL2BAN, handler.formatter))
    root = logging.getLogger(_ROOT)
    for former in list(root.handlers):
        if isinstance(former, LogHandler | Syslog):
            root.removeHandler(former)
            if isinstance(former, LogFile):
                former.stream.close()
            former.close()
    root.addHandler(handler)
    root.propagate = False


def target() -> str:
    """Where the log goes now, as `set_target` takes it."""
    for handler in logging.getLogger(_ROOT).handlers:
        if isinstance(handler, Syslog):
            return SYSLOG
        if isinstance(handler, LogFile):
            return str(handler.path)
        if handler.name == STDOUT:
            return STDOUT
    return STDERR


def reopen() -> bool:
    """Open the log file again, after it was rotated; False where the log goes elsewhere.

    :raises StateError: when it cannot be opened; the former file is written on.
    """
    files = [handler for handler in logging.getLogger(_ROOT).handlers if isinstance(handler, LogFile)]
    for handler in files:
        handler.reopen()
    return bool(files)


def _opened(path: Path) -> TextIO:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o640)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise StateError(f"logtarget {path} is no file; name one, or STDERR, STDOUT or SYSLOG")
    except OSError as error:
        raise StateError(f"logtarget {path} cannot be opened: {error.strerror}") from error
    return os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace")
