"""From where the people behind a process are logged in by ssh.

Two sources, of different worth. A *session* is a fact: an ancestor of the process is an sshd that belongs to root and
holds a connection to the peer, or of which logind knows the peer. A *claim* is what `SSH_CONNECTION` says in the
environment of the process or of an ancestor, which its user may have written himself: good enough to refuse that user's
own command, and no more.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from guardhooks.net.addresses import canonical
from guardhooks.system.logins import remote_host
from guardhooks.system.sockets import established

_PROC: Final = Path("/proc")
_SERVERS: Final = frozenset({"sshd", "sshd-session", "dropbear"})
_VARIABLES: Final = (b"SSH_CONNECTION=", b"SSH_CLIENT=")
_ANCESTORS: Final = 64
"""So far up is looked; a longer line of ancestors is nobody's."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process; `started` (clock ticks after boot) tells it from a later one with the same number."""

    pid: int
    parent: int
    name: str
    started: int


@dataclass(frozen=True, slots=True)
class Session:
    """A session at our machine that comes from `peer`; it lasts as long as its `server`."""

    server: Process
    peer: str

    @property
    def lasts(self) -> bool:
        """Whether its server still runs."""
        now = _process(self.server.pid)
        return now is not None and now.started == self.server.started


def sessions_of(pid: int) -> frozenset[Session]:
    """The ssh sessions in which a process runs; empty where there is none, or it may not be looked at."""
    servers = [each for each in _lineage(pid) if each.name in _SERVERS and _uids(each.pid) == {0}]
    return frozenset(
        Session(server, peer) for server in servers for peer in _peers(server.pid) or _logged_in(server.pid)
    )


def _logged_in(pid: int) -> set[str]:
    """For a daemon in a sandbox, which may not see what sockets another process holds."""
    return {peer for peer in [remote_host(pid)] if peer}


def claims_of(pid: int, uid: int | None = None) -> frozenset[str]:
    """The peers that the environment of a process and of its ancestors names, in canonical spelling.

    :param uid: believe only processes that are wholly this user's; anybody's if left out.
    """
    lineage = [each for each in _lineage(pid) if uid is None or _uids(each.pid) == {uid}]
    return frozenset(peer for each in lineage for peer in _claims(each.pid))


def _lineage(pid: int) -> Iterator[Process]:
    """The process and its ancestors, the process first."""
    for _ in range(_ANCESTORS):
        process = _process(pid) if pid > 0 else None
        if process is None:
            return
        yield process
        pid = process.parent


def _process(pid: int) -> Process | None:
    """Format: proc_pid_stat(5); the name in brackets may hold anything, brackets too."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
        name, _, rest = text.partition("(")[2].rpartition(")")
        words = rest.split()
        return Process(pid, int(words[1]), name, int(words[19]))
    except (OSError, ValueError, IndexError):
        return None


def _uids(pid: int) -> set[int]:
    """Real, effective, saved and file system uid."""
    try:
        lines = (_PROC / str(pid) / "status").read_text(errors="replace").splitlines()
    except OSError:
        return set()
    return {int(uid) for line in lines if line.startswith("Uid:") for uid in line.split()[1:]}


def _peers(pid: int) -> set[str]:
    """The other ends of a process's connections, in its own network namespace."""
    held = set(_socket_inodes(pid))
    if not held:
        return set()
    return {each.remote for each in established(_PROC / str(pid) / "net") if each.inode in held}


def _socket_inodes(pid: int) -> Iterator[int]:
    try:
        for entry in (_PROC / str(pid) / "fd").iterdir():
            with suppress(OSError):
                target = str(entry.readlink())
                if target.startswith("socket:["):
                    yield int(target[8:-1])
    except OSError:
        return


def _claims(pid: int) -> Iterator[str]:
    try:
        variables = (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return
    for variable in variables:
        if variable.startswith(_VARIABLES):
            peer = variable.partition(b"=")[2].decode(errors="replace").split(" ")[0]
            if address := canonical(peer.partition("%")[0]):
                yield address
