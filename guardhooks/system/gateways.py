"""The gateways of this machine's default routes.

Formats: `/proc/net/route` (addresses as hexadecimal words in the byte order of the machine) and `/proc/net/ipv6_route`
(in network order). A router with a million routes is read line by line and nothing of them is kept. Of a default route
over several gateways, `/proc/net/route` shows the first.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from guardhooks.net.addresses import canonical
from guardhooks.system.sockets import PROC_NET, address_of

_NOWHERE4: Final = "0" * 8
_DEFAULT6: Final = "0" * 32 + " 00 "
_NOWHERE6: Final = "0" * 32


def default_gateways(folder: Path = PROC_NET) -> frozenset[str]:
    """Their addresses in canonical spelling; empty where there are none, or the routes cannot be read."""
    return frozenset([*_gateways4(folder / "route"), *_gateways6(folder / "ipv6_route")])


def _gateways4(file: Path) -> Iterator[str]:
    for line in _lines(file):
        words = line.split()
        is_default = len(words) > 7 and words[1] == words[7] == _NOWHERE4
        if is_default and words[2] != _NOWHERE4:
            yield address_of(words[2])


def _gateways6(file: Path) -> Iterator[str]:
    for line in _lines(file):
        if line.startswith(_DEFAULT6) and (hop := line.split()[4]) != _NOWHERE6:
            yield canonical(str(ipaddress.ip_address(bytes.fromhex(hop))))


def _lines(file: Path) -> Iterator[str]:
    try:
        with file.open() as lines:
            yield from lines
    except OSError:
        return
