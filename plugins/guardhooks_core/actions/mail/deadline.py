"""A deadline for a whole SMTP session: with a server that drips bytes each wait is short, and the whole endless."""

from __future__ import annotations

import contextlib
import os
import smtplib
import socket
import threading
import time
from typing import Any


class Deadline:
    """Cuts the connection of a session that takes longer than `seconds`."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._expired = False
        self._until = time.monotonic() + seconds
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._expire)
        self._timer.daemon = True

    def __enter__(self) -> Deadline:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            for each in self._sockets:
                each.close()
            self._sockets.clear()

    @property
    def is_over(self) -> bool:
        """Whether the time is up, even if a wait of the session has noticed it first."""
        return self._expired or time.monotonic() >= self._until

    def watch(self, connection: socket.socket) -> None:
        """Cut this connection at the deadline. Its descriptor is copied: TLS takes the original one over."""
        with self._lock:
            self._sockets.append(socket.socket(fileno=os.dup(connection.fileno())))
            if self._expired:
                self._cut()

    def _expire(self) -> None:
        with self._lock:
            self._expired = True
            self._cut()

    def _cut(self) -> None:
        for each in self._sockets:
            with contextlib.suppress(OSError):  # it has ended by itself
                each.shutdown(socket.SHUT_RDWR)


class WatchedSmtp(smtplib.SMTP):
    """A session in plain text, or one that STARTTLS encrypts, with a deadline."""

    def __init__(self, deadline: Deadline, **options: Any) -> None:  # noqa: ANN401 -- smtplib's
        self._deadline = deadline
        super().__init__(**options)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        """Every connection comes from here, in smtplib's own classes as well."""
        connection: socket.socket = super()._get_socket(host, port, timeout)  # type: ignore[misc]
        self._deadline.watch(connection)
        return connection


class WatchedSmtps(smtplib.SMTP_SSL, WatchedSmtp):
    """A session that is encrypted from its first byte on, with a deadline."""

    def __init__(self, deadline: Deadline, **options: Any) -> None:  # noqa: ANN401 -- smtplib's
        self._deadline = deadline
        smtplib.SMTP_SSL.__init__(self, **options)
