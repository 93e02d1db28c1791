"""The addresses of this machine's interfaces, asked of the kernel by netlink.

Format: `linux/netlink.h`, `linux/rtnetlink.h` and `linux/if_addr.h`; numbers are in the byte order of the machine.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from typing import Final

_ROUTE: Final = 0  # NETLINK_ROUTE
_GET_ADDRESSES: Final = 22  # RTM_GETADDR
_NEW_ADDRESS: Final = 20  # RTM_NEWADDR
_REQUEST_DUMP: Final = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_INTERRUPTED: Final = 0x10  # NLM_F_DUMP_INTR
_ERROR: Final = 2
_DONE: Final = 3
_HEADER: Final = struct.Struct("=IHHII")
_PREAMBLE: Final = struct.Struct("=BBBBI")
_ATTRIBUTE: Final = struct.Struct("=HH")
_ADDRESS, _LOCAL = 1, 2
_FAMILIES: Final = frozenset({socket.AF_INET, socket.AF_INET6})
_PATIENCE: Final = 5.0
"""Seconds to wait for the kernel's answer, which normally takes microseconds."""
_TRIES: Final = 8
_BUFFER: Final = 1 << 16


def interface_addresses() -> frozenset[str]:
    """All of them, IPv4 and IPv6, as text.

    :raises OSError: where there is no netlink, or the kernel refuses.
    """
    if not hasattr(socket, "AF_NETLINK"):
        raise OSError("there is no netlink on this system")
    for _ in range(_TRIES):
        found = _dump()
        if found is not None:
            return frozenset(found)
    raise OSError("the addresses change all the time")


def _dump() -> list[str] | None:
    """One reading; None where they changed meanwhile, so that some may be missing."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _ROUTE) as netlink:
        netlink.settimeout(_PATIENCE)
        size = _HEADER.size + _PREAMBLE.size
        netlink.sendto(_HEADER.pack(size, _GET_ADDRESSES, _REQUEST_DUMP, 1, 0) + bytes(_PREAMBLE.size), (0, 0))
        found: list[str] = []
        while True:
            for kind, flags, payload in _messages(netlink.recv(_BUFFER)):
                if flags & _INTERRUPTED:
                    return None
                if kind == _DONE:
                    return found
                if kind == _ERROR:
                    number = -struct.unpack_from("=i", payload)[0]
                    raise OSError(number, os.strerror(number))
                if kind == _NEW_ADDRESS:
                    found += _address(payload)


def _messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, flags, _, _ = _HEADER.unpack_from(data, offset)
        yield kind, flags, data[offset + _HEADER.size : offset + length]
        offset += max((length + 3) & ~3, _HEADER.size)


def _address(payload: bytes) -> Iterator[str]:
    """The interface's own address: of a point-to-point link, `IFA_ADDRESS` is the other end's."""
    family = payload[0]
    found: dict[int, bytes] = {}
    offset = _PREAMBLE.size
    while offset + _ATTRIBUTE.size <= len(payload):
        length, kind = _ATTRIBUTE.unpack_from(payload, offset)
        found[kind] = payload[offset + _ATTRIBUTE.size : offset + length]
        offset += max((length + 3) & ~3, _ATTRIBUTE.size)
    packed = found.get(_LOCAL) or found.get(_ADDRESS)
    if family in _FAMILIES and packed:
        yield socket.inet_ntop(family, packed)
