"""Which programs listen on which ports of this network namespace.

Format: proc_pid_net(5) for sockets, proc_pid_fd(5) for who holds them. Only root sees the sockets of other users.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from guardhooks.system.tcp_connections import address_of

PROC: Final = Path("/proc")
_STATES: Final = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}
"""LISTEN; of UDP, sockets that are not connected."""
_SOCKET: Final = "socket:["


@dataclass(frozen=True, slots=True)
class _Listener:
    inode: str
    table: str
    address: str
    port: int

    @property
    def is_loopback(self) -> bool:
        return self.address.startswith("127.") or self.address == "::1"


def listening_ports(program: str = "", *, proc: Path = PROC) -> frozenset[int]:
    """All TCP and UDP ports that something listens on, or those of the programs of one name, as far as can be seen."""
    listeners = list(_listeners(proc))
    if not program:
        return frozenset(listener.port for listener in listeners)
    inodes = {inode for pid in _processes(proc) if _name(proc, pid) == program for inode in _sockets(proc, pid)}
    return frozenset(listener.port for listener in listeners if listener.inode in inodes)


def reachable_ports(*, proc: Path = PROC) -> Mapping[str, frozenset[int]]:
    """Name of a program's process (at most 15 characters) → TCP ports on which it can be reached from elsewhere."""
    by_inode = {
        listener.inode: listener.port
        for listener in _listeners(proc)
        if listener.table.startswith("tcp") and not listener.is_loopback
    }
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


def _listeners(proc: Path) -> Iterator[_Listener]:
    for table, state in _STATES.items():
        with suppress(OSError):
            for line in (proc / "net" / table).read_text().splitlines()[1:]:
                words = line.split()
                if len(words) > 9 and words[3] == state:
                    address, _, port = words[1].rpartition(":")
                    yield _Listener(words[9], table, address_of(address), int(port, 16))


def _sockets(proc: Path, pid: str) -> Iterator[str]:
    """Inodes of the sockets that a process holds; none where they may not be seen."""
    with suppress(OSError):
        for entry in (proc / pid / "fd").iterdir():
            with suppress(OSError):
                target = str(entry.readlink())
                if target.startswith(_SOCKET):
                    yield target[len(_SOCKET) : -1]


def _name(proc: Path, pid: str) -> str:
    try:
        return (proc / pid / "comm").read_text(errors="replace").strip()
    except OSError:
        return ""
