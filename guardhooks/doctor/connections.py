"""Connections that an address has open, by connection tracking and by the sockets of this machine.

Format of `/proc/net/nf_conntrack`: family, number, protocol, number, seconds left, state where there is one, then both
directions as `src= dst= sport= dport=`. Kernels without that file leave the sockets.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from guardhooks.system.sockets import PROC_NET, established

_TRACKED: Final = "nf_conntrack"


class Open(NamedTuple):
    """A connection that the address opened: protocol, and both ports."""

    protocol: str
    port: int
    remote_port: int


def open_connections(address: str, folder: Path = PROC_NET) -> list[Open]:
    """Those that are established, in order of their port. Reads tables that may be long: for a worker thread."""
    found = set(_tracked(address, folder))
    found |= {Open("tcp", each.local_port, each.remote_port) for each in established(folder) if each.remote == address}
    return sorted(found, key=lambda each: (each.protocol, each.port, each.remote_port))


def _tracked(address: str, folder: Path) -> Iterator[Open]:
    source = f"src={ipaddress.ip_address(address).exploded}"
    try:
        with (folder / _TRACKED).open() as lines:
            for line in lines:
                if f" {source} " in line and (" ESTABLISHED " in line or "[ASSURED]" in line):
                    words = line.split()
                    first = dict(word.split("=", 1) for word in reversed(words) if "=" in word)
                    if first["src"] == source[4:] and "dport" in first:
                        yield Open(words[2], int(first["dport"]), int(first["sport"]))
    except (OSError, ValueError):
        return
