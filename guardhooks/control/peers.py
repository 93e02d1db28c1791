"""Who is at the other end of a unix socket, as the kernel knows it (unix(7), SO_PEERCRED)."""

from __future__ import annotations

import pwd
import socket
import struct
from contextvars import ContextVar
from pathlib import Path
from typing import Final, NamedTuple

from guardhooks.text import safe_text

_CREDENTIALS: Final = struct.Struct("3i")
_SO_PEERGROUPS: Final = 59
"""Of Linux 4.13 and later; Python has no name for it."""
_MOST_GROUPS: Final = 256
"""As many as fit into the longest option that Python reads."""
_NO_UID: Final = 0xFFFFFFFF


class Peer(NamedTuple):
    """A process, with its user and group when it connected. `pid` is 0 where it is in another pid namespace.

    `may_change` is False for one that may only look.
    """

    pid: int
    uid: int
    gid: int
    may_change: bool = True


current_peer: ContextVar[Peer | None] = ContextVar("current_peer", default=None)
"""The peer whose request is being handled; None outside of requests."""


def current_uid() -> int | None:
    """The user whose request is being handled; None outside of requests."""
    peer = current_peer.get()
    return peer.uid if peer else None


def asker() -> str:
    """Who asks, for the log: `uid 0 alice`, with the name of the account that logged in, where the kernel knows it.

    Account names may come from a directory server: call it in a thread.
    """
    peer = current_peer.get()
    if peer is None:
        return "this process"
    login = _login_uid(peer.pid)
    try:
        name = pwd.getpwuid(peer.uid if login is None else login).pw_name
    except KeyError:
        name = "" if login in {None, peer.uid} else f"(login uid {login})"
    return f"uid {peer.uid} {safe_text(name, 64)}".rstrip()


def _login_uid(pid: int) -> int | None:
    """The account that a process was logged in as before `sudo` and the like (proc(5), loginuid); None if unknown."""
    try:
        uid = int(Path(f"/proc/{pid}/loginuid").read_bytes())
    except (OSError, ValueError):
        return None
    return None if uid == _NO_UID else uid


def is_stopped(pid: int) -> bool:
    """Whether a process is stopped by a signal; False where nothing is known of it."""
    try:
        status = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False
    return status.rpartition(b")")[2].split()[:1] == [b"T"]


def peer_of(connection: socket.socket) -> Peer:
    """The peer of a connected unix socket."""
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return Peer(*_CREDENTIALS.unpack(found))


def groups_of(connection: socket.socket) -> frozenset[int]:
    """The groups of the peer of a connected unix socket, its own and the supplementary ones."""
    own = frozenset({peer_of(connection).gid})
    try:
        found = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, 4 * _MOST_GROUPS)
    except OSError:  # an old kernel, or more groups than fit
        return own
    return own | {number for (number,) in struct.iter_unpack("I", found[: len(found) // 4 * 4])}
