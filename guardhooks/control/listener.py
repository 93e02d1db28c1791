"""Makes a listening unix socket that only its owner may open, and replaces one that a dead daemon left."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from guardhooks.control.protocol import socket_address
from guardhooks.errors import StateError


def listen(path: Path, group: int | None = None) -> socket.socket:
    """A listening socket at `path`, for asyncio: mode 0600, or 0660 for the members of a group.

    :raises StateError: when another daemon answers there, or the socket cannot be made.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _one_at_a_time(path.parent), socket_address(path) as address:
            _remove_stale(path, address)
            _bind_private(listener, address)
        if group is not None:
            os.chown(path, -1, group, follow_symlinks=False)
            path.chmod(0o660)
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
        raise StateError(f"socket {path} cannot be made: something that is not a socket has this name; move it away")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        result = probe.connect_ex(address)
    if result == errno.ECONNREFUSED:
        path.unlink()
    elif result != errno.ENOENT:
        raise StateError(
            f"socket {path} is in use by another daemon; stop it with `guardhooks stop`, or use another --state"
        )
