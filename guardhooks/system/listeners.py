"""Ports on which programs of this network namespace listen, from `/proc/net` (proc_pid_net(5))."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
_STATES: Final = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}
"""LISTEN; of UDP, sockets that are not connected."""


def listening_ports(program: str = "", *, proc: Path = PROC) -> frozenset[int]:
    """All ports that something listens on, or those of the programs of one name, as far as they can be seen.

    Only root sees the sockets of others.
    """
    listeners = dict(_listeners(proc))
    wanted = _sockets_of(program, proc) if program else listeners.keys()
    return frozenset(port for inode, port in listeners.items() if inode in wanted)


def _listeners(proc: Path) -> Iterator[tuple[str, int]]:
    """Number of the socket → port."""
    for name, state in _STATES.items():
        try:
            lines = (proc / "net" / name).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            words = line.split()
            if len(words) > 9 and words[3] == state:
                yield words[9], int(words[1].rpartition(":")[2], 16)


def _sockets_of(program: str, proc: Path) -> set[str]:
    sockets: set[str] = set()
    for folder in proc.glob("[0-9]*"):
        try:
            if (folder / "comm").read_text().strip() == program:
                links = (str(link.readlink()) for link in (folder / "fd").iterdir())
                sockets |= {link[8:-1] for link in links if link.startswith("socket:[")}
        except OSError:
            continue  # it has ended, or belongs to somebody else
    return sockets
