"""The private networks that this machine is part of.

Format: proc_pid_net(5), `route` and `ipv6_route`.
"""

from __future__ import annotations

import ipaddress
from contextlib import suppress
from pathlib import Path
from typing import Final

_ROUTES: Final = Path("/proc/net/route")
_ROUTES6: Final = Path("/proc/net/ipv6_route")
_NO_GATEWAY: Final = "00000000"
_NO_GATEWAY6: Final = "0" * 32
_PRIVATE: Final = tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))
"""RFC 1918 and RFC 4193. Neighbours in a public network are not trusted."""


def private_networks() -> tuple[str, ...]:
    """The private networks that are reached without a gateway, sorted; none where the routes cannot be read."""
    found: set[ipaddress.IPv4Network | ipaddress.IPv6Network] = set()
    with suppress(OSError):
        for line in _ROUTES.read_text().splitlines()[1:]:
            words = line.split()
            if words[2] == _NO_GATEWAY:
                address, mask = (bytes.fromhex(words[at])[::-1] for at in (1, 7))
                length = int.from_bytes(mask, "big").bit_count()
                found.add(ipaddress.IPv4Network((address, length), strict=False))
    with suppress(OSError):
        for line in _ROUTES6.read_text().splitlines():
            words = line.split()
            if words[4] == _NO_GATEWAY6:
                found.add(ipaddress.IPv6Network((bytes.fromhex(words[0]), int(words[1], 16)), strict=False))
    return tuple(sorted(str(network) for network in found if _is_private_network(network)))


def _is_private_network(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    inside = any(network.version == each.version and network.subnet_of(each) for each in _PRIVATE)  # type: ignore[arg-type]
    return inside and network.num_addresses > 1
