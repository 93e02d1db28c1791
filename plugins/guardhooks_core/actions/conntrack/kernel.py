"""The kernel's table of connections by ctnetlink: which ones somebody has, and removing them.

Format: `linux/netfilter/nfnetlink_conntrack.h`. What is compared is the first packet of the connection as it came,
before any address translation. Its sender may be this side: when an entry has been removed, a packet that the server
retransmits creates one in the other direction. So both ends are compared; the port is always that of this side.

Connections are cut three times for each ban, and the table of a busy server has 100,000 entries: pyroute2 decodes one
in 120 µs and deletes it in 1.6 ms, this module in 27 and 50 µs.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from guardhooks import ActionError
from guardhooks_core.actions.conntrack.parameters import Traffic
from guardhooks_core.actions.firewall import netlink
from guardhooks_core.actions.firewall.entries import Entry
from guardhooks_core.actions.firewall.errors import ToolMissingError, explain
from guardhooks_core.actions.firewall.netlink import NetlinkError, attribute, attributes, nested

_SUBSYSTEM: Final = 1 << 8
_GET, _DELETE, _STATISTICS = (_SUBSYSTEM | command for command in (1, 2, 5))
_ORIGINAL, _ID, _ZONE, _FILTER = 1, 12, 18, 25
_IP, _PROTOCOL = 1, 2
_ENDS: Final = {4: (1, 2), 6: (3, 4)}
"""Attributes of the sender's and the receiver's address."""
_NUMBER: Final = 1
_PORTS: Final = (2, 3)
_FLAGS: Final = (1, 2)
"""Filter by the sender's address, by the receiver's."""
_FAMILIES: Final = {4: 2, 6: 10}  # NFPROTO_IPV4, NFPROTO_IPV6
_USUAL: Final = {
    version: b"".join(kind.to_bytes(2, sys.byteorder) for kind in (_ORIGINAL | 0x8000, _IP | 0x8000, *ends))
    for version, ends in _ENDS.items()
}
"""Types of the attributes around the addresses."""
_FEW: Final = 16
"""Up to so many single addresses the kernel is asked for each; for more it is quicker to read the whole table once."""
_GONE: Final = (errno.ENOENT,)
_NO_SUBSYSTEM: Final = frozenset({errno.EINVAL, errno.EOPNOTSUPP, errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT})


def probe() -> None:
    """Make sure that the table can be read.

    :raises ActionError: when the kernel cannot do it, or does not let us.
    """
    try:
        netlink.request(netlink.message(_STATISTICS, netlink.ACK, b""))
    except NetlinkError as error:
        raise _explain(error) from None


def connections_of(offenders: Sequence[Entry], traffic: Traffic) -> list[bytes]:
    """What identifies each connection that one of these has and that `traffic` includes, for `delete`.

    :raises ActionError: when the kernel refuses.
    """
    found: set[bytes] = set()
    for version in (4, 6):
        ours = [entry for entry in offenders if entry.version == version]
        if not ours:
            continue
        is_ours = _membership(ours)
        for answer in _read(version, ours):
            if (addresses := _quick_addresses(answer, version)) and not any(map(is_ours, addresses)):
                continue
            fields = dict(attributes(answer))
            protocol, ends = _tuple(fields[_ORIGINAL], version)
            (sender, sender_port), (receiver, receiver_port) = ends
            meant = is_ours(sender) and traffic.includes(protocol, receiver_port)
            if meant or (is_ours(receiver) and traffic.includes(protocol, sender_port)):
                found.add(_name(version, fields))
    return list(found)


def delete(connections: Iterable[bytes]) -> None:
    """Remove connections from the table; one that has ended meanwhile is a success.

    :raises ActionError: when the kernel refuses.
    """
    messages = (netlink.message(_DELETE, netlink.ACK, name[1:], family=name[0]) for name in connections)
    try:
        netlink.requests(messages, tolerated=_GONE)
    except NetlinkError as error:
        raise _explain(error) from None


def _read(version: int, offenders: Sequence[Entry]) -> list[bytes]:
    whole = 32 if version == 4 else 128
    if len(offenders) > _FEW or any(entry.prefix != whole for entry in offenders):
        return _dump(version, b"")
    # A kernel before 5.8 does not know the filter and answers with the whole table: the result is the same.
    wanted = [_only(version, entry.address, end) for entry in offenders for end in (0, 1)]
    return [answer for each in wanted for answer in _dump(version, each)]


def _only(version: int, address: bytes, end: int) -> bytes:
    flags = _FLAGS[end].to_bytes(4, sys.byteorder)
    wanted = nested(_ORIGINAL, nested(_IP, attribute(_ENDS[version][end], address)))
    return wanted + nested(_FILTER, attribute(1, flags) + attribute(2, bytes(4)))


def _dump(version: int, wanted: bytes) -> list[bytes]:
    try:
        return netlink.dump(netlink.message(_GET, netlink.DUMP, wanted, family=_FAMILIES[version]))
    except NetlinkError as error:
        raise _explain(error) from None


def _membership(offenders: Sequence[Entry]) -> Callable[[bytes], bool]:
    """A test whether an address is one of the offenders; it costs a look-up for each of their prefix lengths."""
    bits = 8 * len(offenders[0].address)
    by_shift: dict[int, set[int]] = {}
    for entry in offenders:
        shift = bits - entry.prefix
        by_shift.setdefault(shift, set()).add(int.from_bytes(entry.address) >> shift)

    def is_member(address: bytes) -> bool:
        value = int.from_bytes(address)
        return any(value >> shift in networks for shift, networks in by_shift.items())

    return is_member


def _quick_addresses(answer: bytes, version: int) -> tuple[bytes, bytes] | None:
    """Both addresses, from where every kernel so far puts them, six times faster than attribute by attribute. None
    where they are elsewhere.
    """
    size = 4 if version == 4 else 16
    second = 16 + size
    heads = answer[2:4] + answer[6:8] + answer[10:12] + answer[second - 2 : second]
    if heads != _USUAL[version]:
        return None
    return answer[12 : second - 4], answer[second : second + size]


def _tuple(data: bytes, version: int) -> tuple[int, list[tuple[bytes, int]]]:
    """The protocol, and address and port of either end; the port is 0 where the protocol has none."""
    parts = dict(attributes(data))
    addresses, protocol = dict(attributes(parts[_IP])), dict(attributes(parts[_PROTOCOL]))
    ports = [int.from_bytes(protocol.get(port, b"")) for port in _PORTS]
    return protocol[_NUMBER][0], [(addresses[end], port) for end, port in zip(_ENDS[version], ports, strict=True)]


def _name(version: int, fields: dict[int, bytes]) -> bytes:
    """What identifies one connection: its first packet, its zone and its number, behind a byte for the family."""
    name = nested(_ORIGINAL, fields[_ORIGINAL])
    name += b"".join(attribute(kind, fields[kind]) for kind in (_ID, _ZONE) if kind in fields)
    return bytes([_FAMILIES[version]]) + name


def _explain(error: NetlinkError) -> ActionError:
    if error.errno in _NO_SUBSYSTEM:
        return ToolMissingError(
            f"the kernel's table of connections cannot be read ({error.strerror}): load the module "
            "nf_conntrack_netlink, or remove the action conntrack"
        )
    return explain(error, "cutting connections")
