"""ipset's sets in the kernel. Whole sets are pyroute2's business; entries are packed here, many to a message.

pyroute2 takes about a millisecond to open a socket, 0.4 ms for a request and 100 µs to encode or decode an entry, which
is too much for each ban and for sets that are counted every second. Format of the entries:
`linux/netfilter/ipset/ip_set.h`, protocol 6. All sets are `hash:net` with timeouts, so that addresses and prefixes
live together, and the kernel removes entries when they end.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import math
import struct
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from guardhooks import ActionError, prepare_pyroute2
from guardhooks_core.actions.firewall import netlink
from guardhooks_core.actions.firewall.entries import Entries, Entry
from guardhooks_core.actions.firewall.errors import ToolMissingError, explain
from guardhooks_core.actions.firewall.netlink import NetlinkError, attribute, attributes, nested, string
from guardhooks_core.actions.firewall.reconcile import SetFullError

if TYPE_CHECKING:
    from pyroute2.ipset import AsyncIPSet

LONGEST: Final = 2147483.0
"""Seconds that an entry's timeout can be at most."""
TYPE: Final = "hash:net"

_SUBSYSTEM: Final = 6 << 8
_LIST, _ADD, _DELETE = (_SUBSYSTEM | command for command in (7, 9, 10))
_SET_NAME, _TYPE_NAME, _FAMILY, _DATA, _ENTRIES, _LINE = 2, 3, 5, 7, 8, 9
_IP, _PREFIX, _TIMEOUT = 1, 3, 6
_FLAGS: Final = 6
_HEADER_ONLY: Final = 1 << 2
_MAX_ELEMENTS, _ELEMENTS, _REFERENCES = 19, 24, 25
_NETWORK_ORDER: Final = 0x4000
_PROTOCOL_VERSION: Final = 6
_PROTOCOL: Final = attribute(1, bytes([_PROTOCOL_VERSION]))
_FAMILIES: Final = {4: 2, 6: 10}  # NFPROTO_IPV4, NFPROTO_IPV6

_TYPE_UNKNOWN: Final = 4098
_BUSY: Final = 4100
_FULL: Final = 4352
_DESTROY_TRIES: Final = 50
_PAUSE: Final = 0.02
"""Seconds between tries to remove a set: the kernel lets go of it a while after the last rule that used it is gone."""
_ANSWER_TIMEOUT: Final = 10.0
"""Seconds to wait for the kernel's answer, which normally takes microseconds."""


@dataclass(frozen=True, slots=True)
class CurrentSet:
    """A set as the kernel has it. `max_elements` is 0 where the type has no such limit."""

    type: str
    version: int
    max_elements: int
    timeouts: bool
    references: int
    entries: Entries

    def fits(self, version: int) -> bool:
        """Whether entries of ours can live in it."""
        return self.type == TYPE and self.version == version and self.timeouts


def read(name: str) -> CurrentSet | None:
    """The set and all it holds; None when there is no such set."""
    try:
        answers = netlink.dump(netlink.message(_LIST, netlink.DUMP, _PROTOCOL + string(_SET_NAME, name)))
    except NetlinkError as error:
        if error.errno == errno.ENOENT:
            return None
        raise explain(error, f"reading set {name}") from None
    top: dict[int, bytes] = {}
    entries: Entries = {}
    for answer in answers:
        for kind, payload in attributes(answer):
            if kind == _ENTRIES:
                entries.update(_parse_entries(payload))
            else:
                top[kind] = payload
    header = dict(attributes(top.get(_DATA, b"")))
    return CurrentSet(
        type=top[_TYPE_NAME].rstrip(b"\0").decode(),
        version=6 if top[_FAMILY][0] == _FAMILIES[6] else 4,
        max_elements=int.from_bytes(header.get(_MAX_ELEMENTS, b""), "big"),
        timeouts=_TIMEOUT in header,
        references=int.from_bytes(header.get(_REFERENCES, b""), "big"),
        entries=entries,
    )


def size(name: str) -> int:
    """How many entries the set holds, without those that have ended; -1 when there is no such set.

    The kernel counts them, in about a millisecond for 100,000.
    """
    flags = attribute(_FLAGS | _NETWORK_ORDER, _HEADER_ONLY.to_bytes(4, "big"))
    try:
        answers = netlink.dump(netlink.message(_LIST, netlink.DUMP, _PROTOCOL + string(_SET_NAME, name) + flags))
    except NetlinkError as error:
        if error.errno == errno.ENOENT:
            return -1
        raise explain(error, f"reading set {name}") from None
    top = dict(attributes(answers[0])) if answers else {}
    return int.from_bytes(dict(attributes(top.get(_DATA, b""))).get(_ELEMENTS, b""), "big")


def _parse_entries(data: bytes) -> Iterator[tuple[Entry, float]]:
    for _, entry in attributes(data):
        fields = dict(attributes(entry))
        if _IP not in fields:
            continue
        address = fields[_IP][4:]
        prefix = fields[_PREFIX][0] if _PREFIX in fields else len(address) * 8
        left = int.from_bytes(fields[_TIMEOUT], "big") if _TIMEOUT in fields else 0
        yield Entry(address, prefix), float(left) or math.inf


def create(name: str, version: int, max_elements: int) -> None:
    """Make an empty set; one of that name with the same type and limits is a success.

    :raises ToolMissingError: when the kernel has no such type of set.
    :raises ActionError: when it refuses for another reason.
    """
    family = _FAMILIES[version]
    try:
        _manage(
            lambda ipset: ipset.create(
                name, stype=TYPE, family=family, exclusive=False, timeout=0, maxelem=max_elements
            )
        )
    except NetlinkError as error:
        if error.errno == _TYPE_UNKNOWN:
            raise ToolMissingError(f"the kernel has no set type {TYPE}: module ip_set_hash_net is missing") from None
        raise explain(error, f"creating set {name}") from None


def swap(name: str, other: str) -> None:
    """Exchange the content of two sets atomically: rules see the old or the new one, never an empty one.

    :raises ActionError: when the kernel refuses.
    """
    try:
        _manage(lambda ipset: ipset.swap(name, other))
    except NetlinkError as error:
        raise explain(error, f"exchanging sets {name} and {other}") from None


def destroy(name: str) -> None:
    """Remove a set; one that is not there is a success.

    :raises ActionError: when a rule still uses it.
    """
    for _ in range(_DESTROY_TRIES):
        try:
            _manage(lambda ipset: ipset.destroy(name))
        except NetlinkError as error:
            if error.errno == errno.ENOENT:
                return
            if error.errno != _BUSY:
                raise explain(error, f"removing set {name}") from None
        else:
            return
        time.sleep(_PAUSE)
    raise ActionError(f"set {name} cannot be removed: rules that are not guardhooks' own use it")


def _manage(work: Callable[[AsyncIPSet], Awaitable[object]]) -> None:
    """Have pyroute2 do something to whole sets. Takes one to two milliseconds, most of them for its event loop.

    :raises NetlinkError: when the kernel refuses.
    """
    prepare_pyroute2()
    from pyroute2.ipset import AsyncIPSet
    from pyroute2.netlink.exceptions import NetlinkError as Pyroute2Error

    async def run() -> None:
        with contextlib.closing(AsyncIPSet(version=_PROTOCOL_VERSION, attr_revision=0)) as ipset:
            # That of its base class: its own asks the kernel for the version of the protocol, which is known.
            await super(AsyncIPSet, ipset).setup_endpoint()
            await work(ipset)

    try:
        asyncio.run(asyncio.wait_for(run(), _ANSWER_TIMEOUT))
    except Pyroute2Error as error:
        raise NetlinkError(error.code, str(error.args[1])) from None
    except TimeoutError:
        raise NetlinkError(errno.ETIMEDOUT, f"no answer from the kernel in {_ANSWER_TIMEOUT:.0f} s") from None


def add(name: str, entries: Entries, max_elements: int = 0) -> None:
    """Add entries to the set; one that is there gets the new timeout. `max_elements` is for the message when full.

    :raises ActionError: when the set has vanished, or is full: it holds those before the first that had no room.
    """
    try:
        _send(_ADD, name, _additions(entries))
    except NetlinkError as error:
        if error.errno == _FULL:
            limit = f"maxelem={max_elements}" if max_elements else "its maxelem"
            raise SetFullError(f"set {name} is full, {limit} reached: set a greater maxelem= and reload") from None
        raise explain(error, f"adding to set {name}", missing="the set has vanished; rebuilding it") from None


def remove(name: str, entries: Iterable[Entry]) -> None:
    """Remove entries from the set; what is not there, the set included, is a success."""
    try:
        _send(_DELETE, name, (nested(_DATA, _address(entry)) for entry in entries))
    except NetlinkError as error:
        if error.errno != errno.ENOENT:
            raise explain(error, f"removing from set {name}") from None


def _address(entry: Entry) -> bytes:
    inner = attribute((1 if entry.version == 4 else 2) | _NETWORK_ORDER, entry.address)
    return nested(_IP, inner) + attribute(_PREFIX, bytes([entry.prefix]))


def _additions(entries: Entries) -> Iterator[bytes]:
    """Each entry with its timeout. All headers are alike, so that an entry is packed by one call."""
    for (address, prefix), left in entries.items():
        seconds = 0 if math.isinf(left) else max(1, math.ceil(min(left, LONGEST)))
        yield (
            _ADDITION_HEADS[len(address)] + address + _ADDITION_TAIL.pack(_PREFIX_HEAD, prefix, _TIMEOUT_HEAD, seconds)
        )


def _addition_head(width: int) -> bytes:
    """What precedes the address of an entry: three headers, whose lengths are those of a whole entry."""
    entry = Entry(bytes(width), 0)
    return nested(_DATA, _address(entry) + attribute(_TIMEOUT | _NETWORK_ORDER, bytes(4)))[:12]


_ADDITION_HEADS: Final = {width: _addition_head(width) for width in (4, 16)}
_PREFIX_HEAD: Final = attribute(_PREFIX, b"\0")[:4]
_TIMEOUT_HEAD: Final = attribute(_TIMEOUT | _NETWORK_ORDER, bytes(4))[:4]
_ADDITION_TAIL: Final = struct.Struct(">4sB3x4sI")


def _send(command: int, name: str, items: Iterable[bytes]) -> None:
    head = _PROTOCOL + string(_SET_NAME, name) + attribute(_LINE, bytes(4))
    netlink.requests(
        [netlink.message(command, netlink.ACK, head + nested(_ENTRIES, block)) for block in netlink.blocks(items)]
    )
