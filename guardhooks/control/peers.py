"""Who is at the other end of a unix socket, as the kernel knows it (unix(7), SO_PEERCRED)."""

from __future__ import annotations

import socket
import struct
from contextvars import ContextVar
from typing import Final, NamedTuple

_CREDENTIALS: Final = struct.Struct("3i")


class Peer(NamedTuple):
    """A process, with its user and group when it connected. `pid` is 0 where it is in another pid namespace."""

    pid: int
    uid: int
    gid: int


current_peer: ContextVar[Peer | None] = ContextVar("current_peer", default=None)
"""The peer whose request is being handled; None outside of requests."""


def current_uid() -> int | None:
    """The user whose request is being handled; None outside of requests."""
    peer = current_peer.get()
    return peer.uid if peer else None


def peer_of(connection: socket.socket) -> Peer:
    """The peer of a connected unix socket."""
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return Peer(*_CREDENTIALS.unpack(found))
