"""Which programs listen on which ports.

Format: proc_pid_net(5) for sockets, proc_pid_fd(5) for who holds them. Only root sees the programs of other users.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from guardhooks.system.tcp_connections import address_of

_PROC: Final = Path("/proc")
_LISTENS: Final = "0A"
_SOCKET: Final = "socket:["


def listening_ports() -> Mapping[str, frozenset[int]]:
    """Name of a program's process (at most 15 characters) → TCP ports on which it can be reached from elsewhere."""
    by_inode = dict(_listening(_PROC / "net"))
    found: dict[str, set[int]] = defaultdict(set)
    for pid in _processes():
        ports = {by_inode[inode] for inode in _sockets(pid) if inode in by_inode}
        if ports:
            found[_name(pid)] |= ports
    return {name: frozenset(ports) for name, ports in found.items() if name}


def running_programs() -> frozenset[str]:
    """Names of all processes (at most 15 characters each)."""
    return frozenset(map(_name, _processes())) - {""}


def _processes() -> Iterator[str]:
    return (entry.name for entry in _PROC.iterdir() if entry.name.isdigit())


def _listening(folder: Path) -> Iterator[tuple[str, int]]:
    """Inode and port of each TCP socket that listens, but for loopback."""
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in (folder / table).read_text().splitlines()[1:]:
                words = line.split()
                address, _, port = words[1].partition(":")
                if words[3] == _LISTENS and not _is_loopback(address_of(address)):
                    yield words[9], int(port, 16)


def _is_loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1"


def _sockets(pid: str) -> Iterator[str]:
    """Inodes of the sockets that a process holds; none where they may not be seen."""
    with suppress(OSError):
        for entry in (_PROC / pid / "fd").iterdir():
            with suppress(OSError):
                target = str(entry.readlink())
                if target.startswith(_SOCKET):
                    yield target[len(_SOCKET) : -1]


def _name(pid: str) -> str:
    try:
        return (_PROC / pid / "comm").read_text(errors="replace").strip()
    except OSError:
        return ""
