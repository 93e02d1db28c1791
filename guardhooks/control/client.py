"""The client's end of the control socket: synchronous, standard library only, quick to import."""

from __future__ import annotations

import json
import os
import select
import socket
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from guardhooks.control.peers import peer_of
from guardhooks.control.protocol import TIMEOUT, NoDaemonError, RequestError, encode, socket_address
from guardhooks.errors import StateError

PATIENCE: Final = TIMEOUT + 5.0
"""Seconds to wait for an answer: longer than a request may take."""


def call(path: Path, command: str, *, timeout: float = PATIENCE, **arguments: object) -> object:
    """Ask the daemon at `path` once and return the result.

    :raises NoDaemonError: when no daemon answers there.
    :raises StateError: when the socket cannot be used, or the daemon does not answer in time.
    :raises RequestError: when the daemon did not carry it out.
    """
    with Connection(path, timeout=timeout) as daemon:
        return daemon.request(command, **arguments)


class Connection:
    """A connection to the daemon, for as many requests as you like. `pid` is the daemon's, 0 where it is not known."""

    def __init__(self, path: Path, *, timeout: float = PATIENCE) -> None:
        self._path = path
        self._timeout = timeout
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
            line = self._lines.readline()
        except TimeoutError:
            raise StateError(
                f"the daemon at {self._path} did not answer within {self._timeout:.0f} seconds; see its log"
            ) from None
        except OSError:
            line = b""
        return self._result(line)

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
        raise StateError(f"socket {path} may not be used by you; ask as root or as the daemon's user") from error
    except OSError as error:
        connection.close()
        raise StateError(f"socket {path} cannot be used: {error.strerror or error}") from error
    return connection


def _trusted_pid(path: Path, connection: socket.socket) -> int:
    """The daemon's pid. A plain user trusts only root and himself: others may have made a folder of that name."""
    peer = peer_of(connection)
    pid, uid = peer.pid, peer.uid
    if os.geteuid() not in (0, uid) and uid != 0:
        connection.close()
        raise StateError(f"socket {path} is answered by a process of uid {uid}, which is neither root's nor yours")
    return pid
