"""Routes by rtnetlink, hundreds to a message. Format: `linux/rtnetlink.h`."""

from __future__ import annotations

import errno
import itertools
import socket
import struct
import sys
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from guardhooks_core.actions.firewall import netlink
from guardhooks_core.actions.firewall.entries import Entry, entry_text
from guardhooks_core.actions.firewall.errors import explain
from guardhooks_core.actions.firewall.netlink import NetlinkError, attribute, attributes

PROTOCOL: Final = 242
"""rtm_protocol of our routes (`ip route show proto 242`): above those that routing daemons have taken."""
KINDS: Final = {"blackhole": 6, "unreachable": 7, "prohibit": 8}

_ROUTE: Final = 0  # NETLINK_ROUTE
_NEW, _DELETE, _GET = 24, 25, 26
_ERROR: Final = 2
_HEADER: Final = struct.Struct("=IHHII")
_BODY: Final = struct.Struct("=BBBBBBBBI")  # rtmsg
_MAIN: Final = 254
_ANY_SCOPE: Final = 255
_DESTINATION, _METRIC, _TABLE = 1, 6, 15
_FAMILIES: Final = {4: socket.AF_INET, 6: socket.AF_INET6}
_NAMES: Final = {number: name for name, number in KINDS.items()}
_IN_ONE_MESSAGE: Final = 500


def read(version: int, metric: int) -> dict[Entry, str]:
    """Our routes with that metric, and of which kind each is.

    :raises ActionError: when the kernel refuses.
    """
    wanted = _BODY.pack(_FAMILIES[version], 0, 0, 0, _MAIN, PROTOCOL, 0, 0, 0)
    try:
        answers = netlink.dump(_message(_GET, netlink.DUMP, 1, wanted), protocol=_ROUTE, head=0)
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


def reaches(address: str) -> bool:
    """Whether the kernel would send packets to an address.

    :raises ActionError: when the kernel cannot be asked.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    packed = socket.inet_pton(family, address)
    asked = _BODY.pack(family, 8 * len(packed), 0, 0, 0, 0, 0, 0, 0) + attribute(_DESTINATION, packed)
    with netlink.open_socket(_ROUTE) as channel:
        try:
            channel.send(_message(_GET, 0, 1, asked))
            for kind, _, body in netlink.messages(netlink.receive(channel)):
                if kind != _ERROR:
                    return _BODY.unpack_from(body)[7] not in _NAMES
        except NetlinkError as error:
            raise explain(error, "asking for a route") from None
    return False


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
    """Put routes in; one that is there is a success.

    :raises ActionError: when the kernel refuses.
    """
    _send(_ADDITION, metric, KINDS[kind], entries)


def remove(metric: int, entries: Iterable[Entry]) -> None:
    """Take routes of ours out, of whatever kind; one that is not there is a success.

    :raises ActionError: when the kernel refuses.
    """
    _send(_REMOVAL, metric, 0, entries)


def _send(change: _Change, metric: int, kind: int, entries: Iterable[Entry]) -> None:
    remaining = iter(entries)
    while batch := list(itertools.islice(remaining, _IN_ONE_MESSAGE)):
        parts = []
        for number, entry in enumerate(batch, 1):
            body = _BODY.pack(_FAMILIES[entry.version], entry.prefix, 0, 0, _MAIN, PROTOCOL, change.scope, kind, 0)
            body += attribute(_DESTINATION, entry.address) + attribute(_METRIC, metric.to_bytes(4, sys.byteorder))
            # Only the last one is acknowledged: the kernel answers in order, and refusals always.
            last = netlink.ACK if number == len(batch) else 0
            parts.append(_message(change.command, change.flags | last, number, body))
        for number, code in _exchange(b"".join(parts), len(batch)).items():
            if code and code not in change.tolerated:
                raise explain(netlink.refusal(code), f"route to {entry_text(batch[number - 1])}")


def _exchange(data: bytes, last: int) -> dict[int, int]:
    """The kernel's answers by the number of the message: 0 for done, else the error."""
    answers: dict[int, int] = {}
    with netlink.open_socket(_ROUTE) as channel:
        try:
            channel.send(data)
            while last not in answers:
                for kind, _, body in netlink.messages(netlink.receive(channel)):
                    if kind == _ERROR:
                        code, number = struct.unpack_from("=i8xI", body)
                        answers[number] = -code
        except NetlinkError as error:
            raise explain(error, "changing routes") from None
    return answers


def _message(command: int, flags: int, number: int, body: bytes) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), command, flags | netlink.REQUEST, number, 0) + body


def _number(fields: dict[int, bytes], kind: int) -> int:
    return int.from_bytes(fields.get(kind, b""), sys.byteorder)
