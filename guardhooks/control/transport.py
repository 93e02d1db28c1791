"""The daemon's end of a unix socket: accepts clients, checks who they are, keeps the limits, whatever the protocol."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from guardhooks.control.listener import listen
from guardhooks.control.peers import Peer, current_peer, groups_of, peer_of
from guardhooks.control.protocol import RequestError
from guardhooks.system.state_folders import socket_folder

_CLOSING_TIME: Final = 5.0
"""Seconds that requests in progress are given to finish when the server closes."""

_SENDING_TIME: Final = 30.0
"""Seconds for reading an answer, where clients may be idle for as long as they like."""

logger = logging.getLogger("guardhooks.control")


@runtime_checkable
class WireProtocol(Protocol):
    """What goes over a socket: messages up to `limit` bytes that end with `separator`, one answer for each."""

    @property
    def separator(self) -> bytes: ...

    @property
    def limit(self) -> int: ...

    async def answer(self, message: bytes) -> bytes | None:
        """The answer to one message, which comes without its separator; None ends the connection.

        `current_peer` tells who asks.
        """
        ...

    def refusal(self, error: RequestError) -> bytes:
        """What is sent instead of an answer when the transport turns a client away."""
        ...


class SocketServer:
    """Serves one protocol on a unix socket that only its owner may open."""

    def __init__(
        self,
        path: Path,
        protocol: WireProtocol,
        *,
        allowed_uids: frozenset[int],
        idle_timeout: float | None = 30.0,
        max_clients: int = 32,
        admit: Callable[[int], Awaitable[object]] | None = None,
        readers: int | None = None,
    ) -> None:
        """
        :param allowed_uids: users whose processes are served; all others are refused.
        :param idle_timeout: seconds that a client may take to send a request or to read an answer; None: it may keep
            its connection for as long as it likes, but must read an answer within 30 seconds.
        :param max_clients: how many clients may be connected at a time.
        :param readers: a group whose members are served, too; `Peer.may_change` is False for them.
            They take up half of `max_clients` at most, so that they cannot lock others out.
        :param admit: called with the pid of each client that is served, before its first request.
        """
        self._path = path
        self._protocol = protocol
        self._allowed_uids = allowed_uids
        self._idle_timeout = idle_timeout
        self._send_timeout = _SENDING_TIME if idle_timeout is None else idle_timeout
        self._max_clients = max_clients
        self._admit = admit
        self._readers = readers
        self._server: asyncio.Server | None = None
        self._inode = 0
        self._clients: dict[asyncio.Task[None], None] = {}
        """Who said something last comes last."""
        self._busy: set[asyncio.Task[None]] = set()
        self._reading: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Take the socket and begin to answer.

        :raises StateError: when another daemon answers there, or the socket cannot be made.
        """
        socket_folder(self._path.parent)
        listener = listen(self._path, self._readers)
        self._inode = self._path.lstat().st_ino
        self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=self._protocol.limit)

    async def reopen_if_gone(self) -> None:
        """Take the socket again if it, or its folder, was removed: nobody could connect any more.

        :raises StateError: as `start`.
        """
        if self._server is None or not self._server.is_serving() or self._stands():
            return
        former = self._server
        await self.start()
        former.close()
        logger.warning("control socket %s had been removed; created it again", self._path)

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
        for client in self._clients.keys() - self._busy:
            client.cancel()
        busy = self._busy - {current}
        if busy:
            _, late = await asyncio.wait(busy, timeout=_CLOSING_TIME)
            for client in late:
                client.cancel()
        await asyncio.gather(*(self._clients.keys() - {current}), return_exceptions=True)
        self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "asyncio runs client callbacks in tasks"
        try:
            peer = self._peer(writer.get_extra_info("socket"))
            current_peer.set(peer)
            if reason := self._refusal(peer):
                await self._send(writer, self._protocol.refusal(RequestError(reason, "refused")))
                return
            self._clients[task] = None
            if not peer.may_change:
                self._reading.add(task)
            if self._admit is not None and peer.may_change:
                await self._admit(peer.pid)
            await self._converse(task, reader, writer)
        except (OSError, TimeoutError):
            logger.debug("a control client disconnected or timed out")
        except asyncio.CancelledError:
            logger.debug("a control client is dropped: the server closes")
        finally:
            self._clients.pop(task, None)
            self._reading.discard(task)
            self._busy.discard(task)
            if writer.transport.get_write_buffer_size():  # it does not read: waiting would not help
                writer.transport.abort()
            else:
                writer.close()

    def _peer(self, connection: socket.socket) -> Peer:
        peer = peer_of(connection)
        is_reader = self._readers is not None and self._readers in groups_of(connection)
        return peer._replace(may_change=False) if is_reader and peer.uid not in self._allowed_uids else peer

    def _refusal(self, peer: Peer) -> str:
        if peer.may_change and peer.uid not in self._allowed_uids:
            logger.warning("control socket: refused pid %d of uid %d", peer.pid, peer.uid)
            return f"uid {peer.uid} may not control this daemon; ask as root or as the daemon's user"
        if not peer.may_change and len(self._reading) >= self._max_clients // 2:
            return "half of all clients that are possible only look already; try again in a moment"
        if self._idle_timeout is None and len(self._clients) >= self._max_clients:
            self._drop_longest_idle()
        if len(self._clients) >= self._max_clients:
            return f"{self._max_clients} clients are connected already; try again in a moment"
        return ""

    def _drop_longest_idle(self) -> None:
        """Make room where clients may be idle for as long as they like: some programs forget to disconnect."""
        idle = next((client for client in self._clients if client not in self._busy), None)
        if idle is not None:
            idle.cancel()
            self._clients.pop(idle)

    async def _converse(
        self, task: asyncio.Task[None], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Requests of one client, one after the other, until it disconnects; one that is too long ends it."""
        separator = self._protocol.separator
        while self._server is not None and self._server.is_serving():
            try:
                async with asyncio.timeout(self._idle_timeout):
                    message = await reader.readuntil(separator)
            except asyncio.IncompleteReadError:
                return
            except asyncio.LimitOverrunError:
                error = RequestError(f"the request is longer than {self._protocol.limit} bytes", "usage")
                await self._send(writer, self._protocol.refusal(error))
                return
            self._busy.add(task)
            self._clients.pop(task, None)
            self._clients[task] = None
            answer = await self._protocol.answer(message.removesuffix(separator))
            if answer is None:
                return
            await self._send(writer, answer)
            self._busy.discard(task)

    async def _send(self, writer: asyncio.StreamWriter, answer: bytes) -> None:
        writer.write(answer)
        async with asyncio.timeout(self._send_timeout):
            await writer.drain()
