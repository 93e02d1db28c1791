"""The addresses of this machine."""

from __future__ import annotations

import socket

from guardhooks.net.addresses import canonical
from guardhooks.system.interfaces import interface_addresses


def own_addresses() -> frozenset[str]:
    """All addresses of this machine's interfaces, in canonical spelling; loopback included. Takes milliseconds."""
    try:
        found = set(map(canonical, interface_addresses()))
    except OSError:
        found = _resolved_host_names()
    return frozenset((found | {"127.0.0.1", "::1"}) - {""})


def _resolved_host_names() -> set[str]:
    names: set[str] = set()
    for host in (socket.gethostname(), "localhost"):
        try:
            names.update(canonical(str(info[4][0])) for info in socket.getaddrinfo(host, None))
        except OSError:
            continue
    return names
