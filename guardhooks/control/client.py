"""The client's end of the control socket: synchronous, standard library only, quick to import."""

from __future__ import annotations

import grp
import json
import os
import select
import socket
import stat
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from guardhooks.control.peers import is_stopped, peer_of
from guardhooks.control.protocol import TIMEOUT, NoDaemonError, RequestError, encode, socket_address
from guardhooks.errors import StateError

PATIENCE: Final = TIMEOUT + 5.0
"""Seconds to wait for an answer: longer than a request may take."""
_QUIET: Final = 3.0
"""Seconds without an answer after which the daemon is looked at: it may be stopped, or its event loop blocked."""
_LIVELY: Final = 30.0
"""Seconds in which a daemon that is busy with a request answers another."""


def call(path: Path, command: str, *, timeout: float = PATIENCE, **arguments: object) -> object:
    """Ask the daemon at `path` once and return the result.

    :raises NoDaemonError: when no daemon answers there.
    :raises StateError: when the socket cannot be used, or the daemon does not answer in time.
    :raises RequestError: when the daemon did not carry it out.
    """
    with Connection(path, timeout=timeout) as daemon:
        return daemon.request(command, **arguments)


class Connection:
    """A connection to the daemon, for as many requests as you like. `pid` is the daemon's, 0 where it is not known.

    :param timeout: seconds to wait for an answer. One that does not come is not waited for if the daemon is stopped or
        does not answer anything, unless `watched` is false.
    """

    def __init__(self, path: Path, *, timeout: float = PATIENCE, watched: bool = True) -> None:
        self._path = path
        self._timeout = timeout
        self._watched = watched
        self._socket = _connect(path, timeout)
        self._lines = self._socket.makefile("rb")
        self.pid = _trusted_pid(path, self._socket)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lines.close()
        self._socket.close()

    def request(self, command: str, **arguments: object) -> object:
        """Ask for one command; arguments that are None are left out. Raises as `call`."""
        given = {name: value for name, value in arguments.items() if value is not None}
        try:
            self._send(encode({"command": command, "arguments": given}))
            if self._watched:
                self._await_answer()
            line = self._lines.readline()
        except TimeoutError:
            time = f"{self._timeout:g} second{'s' * (self._timeout != 1)}"
            raise StateError(f"the daemon at {self._path} did not answer within {time}; see its log") from None
        except OSError:
            line = b""
        return self._result(line)

    def _await_answer(self) -> None:
        """Return when there is something to read.

        :raises StateError: when the daemon cannot answer. :raises TimeoutError: when it did not in time.
        """
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        if poll.poll(min(self._timeout, _QUIET) * 1000):
            return
        if self._timeout > _QUIET:
            self._look_at_daemon(min(_LIVELY, self._timeout - _QUIET))
        if not poll.poll(max(0.0, self._timeout - _QUIET) * 1000):
            raise TimeoutError

    def _look_at_daemon(self, patience: float) -> None:
        if is_stopped(self.pid):
            raise StateError(
                f"the daemon (pid {self.pid}) is stopped by a signal (SIGSTOP), so nobody is banned or unbanned; "
                f"`kill -CONT {self.pid}` lets it continue"
            )
        with suppress(RequestError), Connection(self._path, timeout=patience, watched=False) as other:
            other.request("ping")

    def _send(self, request: bytes) -> None:
        try:
            self._socket.sendall(request)
        except (BrokenPipeError, ConnectionResetError):
            return  # it was refused; the answer, which says why, can still be read

    def _result(self, line: bytes) -> object:
        try:
            answer = json.loads(line)
            if answer["ok"]:
                return answer["result"]
            raise RequestError(str(answer["error"]), answer["kind"])
        except (ValueError, KeyError, TypeError):
            raise StateError(
                f"the daemon at {self._path} closed the connection without an answer; see its log"
            ) from None

    def wait_for_exit(self, timeout: float = PATIENCE) -> bool:
        """Wait until the daemon's process is gone; False when `timeout` seconds were not enough."""
        if self.pid in (0, os.getpid()):  # it runs in another pid namespace, or in this process
            return True
        try:
            process = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return True
        try:
            return bool(select.select([process], [], [], timeout)[0])
        finally:
            os.close(process)


def _connect(path: Path, timeout: float) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout)
    try:
        with socket_address(path) as address:
            connection.connect(address)
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError) as error:
        connection.close()
        raise NoDaemonError(
            f"no guardhooks daemon answers at {path}; start it with `guardhooks run`, or name its folder with --state"
        ) from error
    except PermissionError as error:
        connection.close()
        raise StateError(f"socket {path} may not be used by you; {_who_may(path)}") from error
    except BlockingIOError as error:  # so many wait already
        connection.close()
        raise StateError(
            f"the daemon at {path} accepts no connections; see its log and whether it is stopped"
        ) from error
    except OSError as error:
        connection.close()
        raise StateError(f"socket {path} cannot be used: {error.strerror or error}") from error
    return connection


def _who_may(path: Path) -> str:
    """Who may use a socket, as advice."""
    with suppress(OSError, KeyError):
        found = path.stat()
        if found.st_gid and found.st_mode & stat.S_IWGRP:
            return f"ask as root, or join the group {grp.getgrgid(found.st_gid).gr_name}"
    return "ask as root (sudo), or as the daemon's user"


def _trusted_pid(path: Path, connection: socket.socket) -> int:
    """The daemon's pid. A plain user trusts only root and himself: others may have made a folder of that name."""
    peer = peer_of(connection)
    pid, uid = peer.pid, peer.uid
    if os.geteuid() not in (0, uid) and uid != 0:
        connection.close()
        raise StateError(f"socket {path} is answered by a process of uid {uid}, which is neither root's nor yours")
    return pid
