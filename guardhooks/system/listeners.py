"""Which programs listen on which ports of this network namespace.

Format: proc_pid_fd(5) for who holds a socket. Only root sees the sockets of other users.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from guardhooks.system.sockets import listening

PROC: Final = Path("/proc")
_SOCKET: Final = "socket:["


def listening_ports(program: str = "", *, proc: Path = PROC) -> frozenset[int]:
    """All TCP and UDP ports that something listens on, or those of the programs of one name, as far as can be seen."""
    sockets = list(listening(proc / "net", udp=True))
    if not program:
        return frozenset(socket.local_port for socket in sockets)
    inodes = {inode for pid in _processes(proc) if _name(proc, pid) == program for inode in _sockets(proc, pid)}
    return frozenset(socket.local_port for socket in sockets if socket.inode in inodes)


def reachable_ports(*, proc: Path = PROC) -> Mapping[str, frozenset[int]]:
    """Name of a program's process (at most 15 characters) → TCP ports on which it can be reached from elsewhere."""
    by_inode = {socket.inode: socket.local_port for socket in listening(proc / "net") if not socket.is_local_only}
    found: dict[str, set[int]] = defaultdict(set)
    for pid in _processes(proc):
        ports = {by_inode[inode] for inode in _sockets(proc, pid) if inode in by_inode}
        if ports:
            found[_name(proc, pid)] |= ports
    return {name: frozenset(ports) for name, ports in found.items() if name}


def running_programs(*, proc: Path = PROC) -> frozenset[str]:
    """Names of all processes (at most 15 characters each)."""
    return frozenset(_name(proc, pid) for pid in _processes(proc)) - {""}


def _processes(proc: Path) -> Iterator[str]:
    return (entry.name for entry in proc.iterdir() if entry.name.isdigit())


def _sockets(proc: Path, pid: str) -> Iterator[int]:
    """Inodes of the sockets that a process holds; none where they may not be seen."""
    with suppress(OSError):
        for entry in (proc / pid / "fd").iterdir():
            with suppress(OSError):
                target = str(entry.readlink())
                if target.startswith(_SOCKET):
                    yield int(target[len(_SOCKET) : -1])


def _name(proc: Path, pid: str) -> str:
    try:
        return (proc / pid / "comm").read_text(errors="replace").strip()
    except OSError:
        return ""
