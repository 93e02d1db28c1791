"""Sockets as the kernel lists them in `/proc/net/tcp`, `tcp6`, `udp` and `udp6` (proc_pid_net(5)).

Addresses there are 32-bit words in the byte order of the machine, in hexadecimal.
"""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from guardhooks.net.addresses import canonical

PROC_NET: Final = Path("/proc/net")
_TCP: Final = ("tcp", "tcp6")
_UDP: Final = ("udp", "udp6")
_ESTABLISHED: Final = "01"
_LISTENING: Final = "0A"
_UNCONNECTED: Final = "07"
"""State of a UDP socket that is not connected: the kernel has no other for one that waits for packets."""


class Connection(NamedTuple):
    """One end of a connection, or a listening socket; `inode` is the number of its socket."""

    local: str
    local_port: int
    remote: str
    remote_port: int
    inode: int

    @property
    def is_local_only(self) -> bool:
        """Whether the socket can be reached from this machine only."""
        return self.local.startswith("127.") or self.local == "::1"


def established(folder: Path = PROC_NET) -> Iterator[Connection]:
    """The established TCP connections of a network namespace; nothing where they cannot be read."""
    return _sockets(folder, _TCP, _ESTABLISHED)


def listening(folder: Path = PROC_NET, *, udp: bool = False) -> Iterator[Connection]:
    """The listening TCP sockets of a network namespace; with `udp`, also UDP sockets that are not connected."""
    yield from _sockets(folder, _TCP, _LISTENING)
    if udp:
        yield from _sockets(folder, _UDP, _UNCONNECTED)


def _sockets(folder: Path, tables: Iterable[str], state: str) -> Iterator[Connection]:
    for table in tables:
        try:
            with (folder / table).open() as lines:
                next(lines, None)
                for line in lines:
                    words = line.split()
                    if len(words) > 9 and words[3] == state:
                        yield Connection(*_end(words[1]), *_end(words[2]), int(words[9]))
        except OSError:
            continue


def address_of(words: str) -> str:
    """The address that the kernel's hexadecimal words mean, in canonical spelling."""
    packed = bytes.fromhex(words)
    if sys.byteorder == "little":
        packed = b"".join(packed[start : start + 4][::-1] for start in range(0, len(packed), 4))
    return canonical(str(ipaddress.ip_address(packed)))


def _end(text: str) -> tuple[str, int]:
    address, _, port = text.partition(":")
    return address_of(address), int(port, 16)
