"""Routes in the kernel: single ones by pyroute2, those of bans in packed messages, hundreds at a time.

pyroute2 takes 150 µs for each message of a batch and 130 µs to decode a route, this module 7 and 9. Format:
`linux/rtnetlink.h`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import socket
import struct
import sys
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from guardhooks import prepare_pyroute2
from guardhooks_core.actions.firewall import netlink
from guardhooks_core.actions.firewall.entries import Entry, entry_text
from guardhooks_core.actions.firewall.errors import explain
from guardhooks_core.actions.firewall.netlink import NetlinkError, attribute, attributes

PROTOCOL: Final = 242
"""rtm_protocol of our routes (`ip route show proto 242`): above those that routing daemons have taken."""
KINDS: Final = {"blackhole": 6, "unreachable": 7, "prohibit": 8}

_NEW, _DELETE, _GET = 24, 25, 26
_BODY: Final = struct.Struct("=BBBBBBBBI")  # rtmsg
_MAIN: Final = 254
_ANY_SCOPE: Final = 255
_DESTINATION, _METRIC, _TABLE = 1, 6, 15
_FAMILIES: Final = {4: socket.AF_INET, 6: socket.AF_INET6}
_NAMES: Final = {number: name for name, number in KINDS.items()}
_BATCH: Final = 500
"""Routes sent at a time."""
_ANSWER_TIMEOUT: Final = 5.0
"""Seconds to wait for the kernel's answer, which normally takes microseconds."""
_NO_ROUTE: Final = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EINVAL})
"""What the kernel answers where a route says `unreachable`, `prohibit` or `blackhole`, or where there is none."""


def read(version: int, metric: int) -> dict[Entry, str]:
    """Our routes with that metric, and of which kind each is.

    :raises ActionError: when the kernel refuses.
    """
    wanted = _BODY.pack(_FAMILIES[version], 0, 0, 0, _MAIN, PROTOCOL, 0, 0, 0)
    try:
        answers = netlink.dump(netlink.plain_message(_GET, netlink.DUMP, wanted), protocol=netlink.ROUTE, head=0)
    except NetlinkError as error:
        raise explain(error, "reading routes") from None
    found: dict[Entry, str] = {}
    for answer in answers:
        family, prefix, _, _, _, protocol, _, kind, _ = _BODY.unpack_from(answer)
        fields = dict(attributes(answer[_BODY.size :]))
        ours = (family, protocol, _number(fields, _TABLE), _number(fields, _METRIC))
        if ours == (_FAMILIES[version], PROTOCOL, _MAIN, metric) and kind in _NAMES and _DESTINATION in fields:
            found[Entry(fields[_DESTINATION], prefix)] = _NAMES[kind]
    return found


def is_reachable(address: str) -> bool:
    """Whether the kernel would send packets to an address.

    :raises ActionError: when the kernel cannot be asked.
    """
    try:
        return asyncio.run(asyncio.wait_for(_look_up(address), _ANSWER_TIMEOUT)) not in _NAMES
    except NetlinkError as error:
        if error.errno in _NO_ROUTE:
            return False
        raise explain(error, "looking up a route") from None
    except OSError as error:
        raise explain(NetlinkError(error.errno or errno.EIO, str(error)), "looking up a route") from None


async def _look_up(address: str) -> int:
    """The kind of the route that the kernel would use: RTN_UNICAST, RTN_BLACKHOLE, …"""
    prepare_pyroute2()
    from pyroute2.netlink import NETLINK_ROUTE, NLM_F_REQUEST
    from pyroute2.netlink.exceptions import NetlinkError as Pyroute2Error
    from pyroute2.netlink.nlsocket import AsyncNetlinkSocket
    from pyroute2.netlink.rtnl import RTM_GETROUTE, RTM_NEWROUTE
    from pyroute2.netlink.rtnl.rtmsg import rtmsg

    message = rtmsg()
    message["family"] = socket.AF_INET6 if ":" in address else socket.AF_INET
    message["dst_len"] = 128 if ":" in address else 32
    message["attrs"] = [["RTA_DST", address]]
    with contextlib.closing(AsyncNetlinkSocket(family=NETLINK_ROUTE)) as channel:
        channel.register_policy(RTM_NEWROUTE, rtmsg)
        try:
            answers = [each async for each in await channel.nlm_request(message, RTM_GETROUTE, NLM_F_REQUEST)]
        except Pyroute2Error as error:
            raise NetlinkError(error.code, str(error.args[1])) from None
    kind: int = answers[0]["type"]
    return kind


@dataclass(frozen=True, slots=True)
class _Change:
    """What is done to each route of a batch; `tolerated` are the refusals that count as done."""

    command: int
    flags: int
    scope: int
    tolerated: Collection[int]


_ADDITION: Final = _Change(_NEW, netlink.CREATE | netlink.EXCLUSIVE, 0, (errno.EEXIST,))
_REMOVAL: Final = _Change(_DELETE, 0, _ANY_SCOPE, (errno.ESRCH, errno.ENOENT))


def add(metric: int, kind: str, entries: Iterable[Entry]) -> None:
    """Add routes; one that is there is a success.

    :raises ActionError: when the kernel refuses.
    """
    _send(_ADDITION, metric, KINDS[kind], entries)


def remove(metric: int, entries: Iterable[Entry]) -> None:
    """Remove routes of ours, of whatever kind; one that is not there is a success.

    :raises ActionError: when the kernel refuses.
    """
    _send(_REMOVAL, metric, 0, entries)


def _send(change: _Change, metric: int, kind: int, entries: Iterable[Entry]) -> None:
    remaining = iter(entries)
    while batch := list(itertools.islice(remaining, _BATCH)):
        parts = []
        for number, entry in enumerate(batch, 1):
            body = _BODY.pack(_FAMILIES[entry.version], entry.prefix, 0, 0, _MAIN, PROTOCOL, change.scope, kind, 0)
            body += attribute(_DESTINATION, entry.address) + attribute(_METRIC, metric.to_bytes(4, sys.byteorder))
            # Only the last one is acknowledged: the kernel answers in order, and refusals always.
            last = netlink.ACK if number == len(batch) else 0
            parts.append(netlink.plain_message(change.command, change.flags | last, body, number))
        try:
            refused = netlink.refusals(b"".join(parts), len(batch), protocol=netlink.ROUTE)
        except NetlinkError as error:
            raise explain(error, "changing routes") from None
        for number, code in refused.items():
            if code not in change.tolerated:
                raise explain(netlink.refusal(code), f"route to {entry_text(batch[number - 1])}")


def _number(fields: dict[int, bytes], kind: int) -> int:
    return int.from_bytes(fields.get(kind, b""), sys.byteorder)
