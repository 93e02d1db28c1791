"""TCP connections and listening sockets as the kernel lists them in `/proc/net/tcp` and `tcp6` (proc_pid_net(5)).

Addresses there are 32-bit words in the byte order of the machine, in hexadecimal.
"""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from guardhooks.net.addresses import canonical

PROC_NET: Final = Path("/proc/net")
_ESTABLISHED: Final = "01"
_LISTENING: Final = "0A"


class Connection(NamedTuple):
    """One end of a connection, or a listening socket; `inode` is the number of its socket."""

    local: str
    local_port: int
    remote: str
    remote_port: int
    inode: int


def established(folder: Path = PROC_NET) -> Iterator[Connection]:
    """The established TCP connections of a network namespace; nothing where they cannot be read."""
    return _sockets(folder, _ESTABLISHED)


def listening_ports(folder: Path = PROC_NET) -> frozenset[int]:
    """The TCP ports that something listens on in a network namespace."""
    return frozenset(each.local_port for each in _sockets(folder, _LISTENING))


def _sockets(folder: Path, state: str) -> Iterator[Connection]:
    for name in ("tcp", "tcp6"):
        try:
            with (folder / name).open() as lines:
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
