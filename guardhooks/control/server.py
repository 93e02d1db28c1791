"""The daemon's end of the control socket."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import logging
import os
import socket
import stat
import struct
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Final, TypeAlias

from guardhooks.control.protocol import REQUEST_LIMIT, RequestError, encode, read_request, socket_address
from guardhooks.errors import GuardhooksError, StateError
from guardhooks.system.state_folders import socket_folder
from guardhooks.text import safe_text

Handler: TypeAlias = Callable[[Mapping[str, object]], Awaitable[object]]

client_pid: ContextVar[int] = ContextVar("client_pid", default=0)
"""The process whose request is being handled, as the kernel knows it; 0 outside of requests."""

_CREDENTIALS: Final = struct.Struct("3i")
_CLOSING_TIME: Final = 5.0
"""Seconds that requests in progress are given to finish when the server closes."""

logger = logging.getLogger("guardhooks.control")


class ControlServer:
    """Answers requests on a unix socket that only its owner may open.

    `commands` maps command names to what carries them out; only peers whose uid is in `allowed_uids` are heard.
    `idle_timeout` is how many seconds a client may take to send a request or to read an answer, `max_clients` how many
    may be connected at a time. `admit` is told the pid of each client that is heard, before its first request.
    """

    def __init__(
        self,
        path: Path,
        commands: Mapping[str, Handler],
        *,
        allowed_uids: frozenset[int],
        idle_timeout: float = 30.0,
        max_clients: int = 32,
        admit: Callable[[int], Awaitable[object]] | None = None,
    ) -> None:
        self._path = path
        self._commands = commands
        self._allowed_uids = allowed_uids
        self._idle_timeout = idle_timeout
        self._max_clients = max_clients
        self._admit = admit
        self._server: asyncio.Server | None = None
        self._inode = 0
        self._clients: set[asyncio.Task[None]] = set()
        self._busy: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Take the socket and begin to answer.

        :raises StateError: when another daemon answers there, or the socket cannot be made.
        """
        socket_folder(self._path.parent)
        listener = _listen(self._path)
        self._inode = self._path.lstat().st_ino
        self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=REQUEST_LIMIT)

    async def reopen_if_gone(self) -> None:
        """Take the socket again where it, or its folder, has been removed: nobody could ask any more.

        :raises StateError: as `start`.
        """
        if self._server is None or not self._server.is_serving() or self._stands():
            return
        former = self._server
        await self.start()
        former.close()
        logger.warning("control socket %s had been removed and is made anew", self._path)

    def _stands(self) -> bool:
        try:
            return self._path.lstat().st_ino == self._inode
        except OSError:
            return False

    async def close(self) -> None:
        """Stop listening, let requests in progress finish for a moment, drop everybody else, remove the socket."""
        if self._server is None:
            return
        self._server.close()
        with suppress(OSError):
            if self._path.lstat().st_ino == self._inode:
                self._path.unlink()
        current = asyncio.current_task()
        for client in self._clients - self._busy:
            client.cancel()
        busy = self._busy - {current}
        if busy:
            _, late = await asyncio.wait(busy, timeout=_CLOSING_TIME)
            for client in late:
                client.cancel()
        await asyncio.gather(*(self._clients - {current}), return_exceptions=True)
        self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "asyncio runs client callbacks in tasks"
        try:
            refusal = self._refusal(writer)
            if refusal:
                await self._send(writer, _failure(RequestError(refusal, "refused")))
                return
            self._clients.add(task)
            if self._admit is not None:
                await self._admit(client_pid.get())
            await self._converse(task, reader, writer)
        except (OSError, TimeoutError):
            logger.debug("a control client went away or fell silent")
        except asyncio.CancelledError:
            logger.debug("a control client is dropped: the server closes")
        finally:
            self._clients.discard(task)
            self._busy.discard(task)
            if writer.transport.get_write_buffer_size():  # it does not read: nothing is gained by waiting
                writer.transport.abort()
            else:
                writer.close()

    def _refusal(self, writer: asyncio.StreamWriter) -> str:
        peer: socket.socket = writer.get_extra_info("socket")
        pid, uid, _ = _CREDENTIALS.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        if uid not in self._allowed_uids:
            logger.warning("control socket: pid %d of uid %d was turned away", pid, uid)
            return f"uid {uid} may not control this daemon; ask as root or as the daemon's user"
        client_pid.set(pid)
        if len(self._clients) >= self._max_clients:
            return f"{self._max_clients} clients are connected already; try again in a moment"
        return ""

    async def _converse(
        self, task: asyncio.Task[None], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Requests of one client, one after the other, until it hangs up; one that is too long ends it."""
        while self._server is not None and self._server.is_serving():
            try:
                async with asyncio.timeout(self._idle_timeout):
                    line = await reader.readuntil(b"\n")
            except asyncio.IncompleteReadError:
                return
            except asyncio.LimitOverrunError:
                error = RequestError(f"the request is longer than {REQUEST_LIMIT} bytes", "usage")
                await self._send(writer, _failure(error))
                return
            self._busy.add(task)
            await self._send(writer, await self._answer(line))
            self._busy.discard(task)

    async def _answer(self, line: bytes) -> dict[str, object]:
        try:
            command, arguments = read_request(line)
            handler = self._commands.get(command)
            if handler is None:
                known = ", ".join(sorted(self._commands))
                raise RequestError(f"unknown command {safe_text(command, 100)!r}; known are {known}", "usage")
            return {"ok": True, "result": await handler(arguments)}
        except GuardhooksError as error:
            return _failure(error)

    async def _send(self, writer: asyncio.StreamWriter, answer: Mapping[str, object]) -> None:
        writer.write(encode(answer))
        async with asyncio.timeout(self._idle_timeout):
            await writer.drain()


def _failure(error: GuardhooksError) -> dict[str, object]:
    kind = error.kind if isinstance(error, RequestError) else "failed"
    return {"ok": False, "error": safe_text(str(error)), "kind": kind}


def _listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _one_at_a_time(path.parent), socket_address(path) as address:
            _remove_stale(path, address)
            _bind_private(listener, address)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise StateError(f"socket {path} cannot be made: {error.strerror}; name another folder with --state") from error
    except StateError:
        listener.close()
        raise
    return listener


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Two daemons that start at once must not each take the other's socket for a stale one."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _bind_private(listener: socket.socket, address: str) -> None:
    previous = os.umask(0o177)
    try:
        listener.bind(address)
    finally:
        os.umask(previous)
    listener.listen(64)


def _remove_stale(path: Path, address: str) -> None:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(status.st_mode):
        raise StateError(f"socket {path} cannot be made: something that is no socket has this name; move it away")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        result = probe.connect_ex(address)
    if result == errno.ECONNREFUSED:
        path.unlink()
    elif result != errno.ENOENT:
        raise StateError(
            f"socket {path} is in use by another daemon; stop it with `guardhooks stop`, or use another --state"
        )
