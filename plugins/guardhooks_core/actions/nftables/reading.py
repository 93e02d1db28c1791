"""What of an action stands in the kernel, by three netlink dumps that do not grow with the number of bans.

Format: `linux/netfilter/nf_tables.h`; the comment of a rule is the first kind of its user data (libnftnl, `udata.h`).
"""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from guardhooks_core.actions.firewall import netlink
from guardhooks_core.actions.firewall.errors import explain
from guardhooks_core.actions.firewall.netlink import NetlinkError, attributes, string
from guardhooks_core.actions.nftables.ruleset import PRIORITIES, TABLE, Shape, jump_mark

NFTABLES: Final = 10
INET: Final = 1

_GET_CHAIN, _GET_RULE, _GET_SET = (NFTABLES << 8 | command for command in (4, 7, 10))
_TABLE_NAME: Final = 1
_CHAIN_NAME, _CHAIN_HOOK = 3, 4
_RULE_CHAIN, _RULE_HANDLE, _RULE_USER_DATA = 2, 3, 7
_SET_NAME, _SET_DESCRIPTION = 2, 9
_SIZE: Final = 1
_COMMENT: Final = 0


@dataclass(frozen=True, slots=True)
class Held:
    """What there is: `sets` by shape with their size (0: no limit), the marks of the chain's `rules` in order, the
    handles of the `jumps` to it by base chain, which `bases` there are, and whether `others` have chains.
    """

    chain: bool = False
    sets: dict[Shape, int] = field(default_factory=dict)
    rules: tuple[str, ...] = ()
    jumps: dict[str, list[int]] = field(default_factory=dict)
    bases: frozenset[str] = frozenset()
    others: bool = False


def read(chain: str) -> Held:
    """What the kernel has of the action with that chain; an empty answer when there is no table."""
    chains = {text(found[_CHAIN_NAME]): _CHAIN_HOOK in found for found in dump(_GET_CHAIN)}
    shaped = re.compile(rf"{re.escape(chain)}-([46])-(\d+)")
    sets: dict[Shape, int] = {}
    for found in dump(_GET_SET, chain):
        if match := shaped.fullmatch(text(found[_SET_NAME])):
            description = dict(attributes(found.get(_SET_DESCRIPTION, b"")))
            sets[Shape(int(match[1]), int(match[2]))] = int.from_bytes(description.get(_SIZE, b""), "big")
    rules: list[str] = []
    jumps: dict[str, list[int]] = {}
    mark = jump_mark(chain)
    for found in dump(_GET_RULE, chain, mark):
        place, comment = text(found[_RULE_CHAIN]), comment_of(found.get(_RULE_USER_DATA, b""))
        if place == chain:
            rules.append(comment)
        elif comment == mark:
            jumps.setdefault(place, []).append(int.from_bytes(found[_RULE_HANDLE], "big"))
    bases = frozenset(name for name, hooked in chains.items() if hooked and name in PRIORITIES)
    return Held(chain in chains, sets, tuple(rules), jumps, bases, bool(chains.keys() - bases - {chain}))


def dump(command: int, *texts: str) -> Iterator[dict[int, bytes]]:
    """All objects of one kind in our table, each as its attributes; none where there is no table.

    :param texts: leave out, unread, what has none of these in it. With hundreds of actions that is nearly all.
    """
    wanted = [each.encode() for each in texts]
    try:
        answers = netlink.dump(netlink.message(command, netlink.DUMP, string(_TABLE_NAME, TABLE), family=INET))
    except NetlinkError as error:
        if error.errno == errno.ENOENT:
            return
        raise explain(error, "reading nftables") from None
    for answer in answers:
        if wanted and not any(each in answer for each in wanted):
            continue
        found = dict(attributes(answer))
        # Some kernels dump the chains of all tables whatever was asked for.
        if text(found.get(_TABLE_NAME, b"")) == TABLE:
            yield found


def text(payload: bytes) -> str:
    """The text of a NUL-terminated string."""
    return payload.rstrip(b"\0").decode(errors="replace")


def comment_of(data: bytes) -> str:
    """The comment in a rule's user data, empty where there is none."""
    offset = 0
    while offset + 2 <= len(data):
        kind, length = data[offset], data[offset + 1]
        if kind == _COMMENT:
            return text(data[offset + 2 : offset + 2 + length])
        offset += 2 + length
    return ""


_GET_TABLE, _GET_RULE, _GET_FLOWTABLE = (NFTABLES << 8 | command for command in (1, 7, 23))
_TABLE_FLAGS: Final = 2
_DORMANT: Final = 1
_NAME: Final = 1
_RULE_CHAIN, _RULE_HANDLE, _RULE_EXPRESSIONS, _RULE_USER_DATA = 2, 3, 4, 7
_EXPRESSION_NAME, _EXPRESSION_DATA = 1, 2
_PACKETS: Final = 2
_IMMEDIATE_DATA: Final = 2
_DATA_VALUE, _DATA_VERDICT = 1, 2
_VERDICT_CODE: Final = 1
_ACCEPT: Final = 1
_NFPROTO: Final = 15
_NETWORK_HEADER: Final = 1
_SOURCE_AT: Final = {4: 12, 6: 8}
_FAMILIES: Final = {4: socket.AF_INET, 6: socket.AF_INET6}


@dataclass(frozen=True, slots=True)
class StandingRule:
    """One rule of our table."""

    chain: str
    handle: int
    comment: str
    expressions: tuple[tuple[str, dict[int, bytes]], ...]

    @property
    def packets(self) -> int:
        """What its counter shows; 0 without one."""
        counters = (data for name, data in self.expressions if name == "counter")
        return sum(int.from_bytes(data.get(_PACKETS, b""), "big") for data in counters)

    @property
    def accepts(self) -> bool:
        """Whether it accepts the packets that it matches."""
        return any(name == "immediate" and _verdict(data) == _ACCEPT for name, data in self.expressions)

    def matches(self, address: str) -> bool | None:
        """Whether it matches all packets from an address (empty: from anybody), none (False), or some (None)."""
        return _Registers(address).run(self.expressions)


class _Registers:
    """What is known of the kernel's registers while a rule is followed for the packets of an address."""

    def __init__(self, address: str) -> None:
        self._version = 6 if ":" in address else 4
        self._source = socket.inet_pton(_FAMILIES[self._version], address) if address else b""
        self._held: dict[bytes, bytes] = {}

    def run(self, expressions: tuple[tuple[str, dict[int, bytes]], ...]) -> bool | None:
        certain: bool | None = True
        for name, data in expressions:
            if name == "cmp":
                answer = self._compare(data)
                if answer is False:
                    return False
                certain = certain and answer
            elif name == "meta":
                self._load(data.get(1, b""), self._protocol() if _number(data, 2) == _NFPROTO else b"")
            elif name == "payload":
                self._load(data.get(1, b""), self._payload(data))
            elif name == "bitwise":
                self._load(data.get(2, b""), self._masked(data))
            elif name not in ("immediate", "counter", "log"):
                certain = None
        return certain

    def _load(self, register: bytes, value: bytes) -> None:
        self._held[register] = value

    def _protocol(self) -> bytes:
        return bytes([2 if self._version == 4 else 10]) if self._source else b""

    def _payload(self, data: dict[int, bytes]) -> bytes:
        at_source = _number(data, 2) == _NETWORK_HEADER and _number(data, 3) == _SOURCE_AT[self._version]
        length = _number(data, 4)
        return self._source[:length] if at_source and length <= len(self._source) else b""

    def _masked(self, data: dict[int, bytes]) -> bytes:
        value, mask, xor = self._held.get(data.get(1, b""), b""), _value(data, 4), _value(data, 5)
        if not value or len(mask) != len(value) or len(xor) != len(value):
            return b""
        return bytes(v & m ^ x for v, m, x in zip(value, mask, xor, strict=True))

    def _compare(self, data: dict[int, bytes]) -> bool | None:
        value, wanted, operator = self._held.get(data.get(1, b""), b""), _value(data, 3), _number(data, 2)
        if not value or operator > 1:
            return None
        return (value == wanted) != bool(operator)


def standing_rules() -> list[StandingRule]:
    """All rules of our table, in order by chain; none where there is no table."""
    return [
        StandingRule(
            text(found[_RULE_CHAIN]),
            int.from_bytes(found[_RULE_HANDLE], "big"),
            comment_of(found.get(_RULE_USER_DATA, b"")),
            tuple(_expressions(found.get(_RULE_EXPRESSIONS, b""))),
        )
        for found in dump(_GET_RULE)
    ]


def is_dormant() -> bool:
    """Whether our table is switched off (`flags dormant`)."""
    return any(_number(found, _TABLE_FLAGS) & _DORMANT for found in dump(_GET_TABLE))


def flowtables() -> list[str]:
    """The flowtables of all tables: forwarded connections in one pass no rule any more."""
    try:
        answers = netlink.dump(netlink.message(_GET_FLOWTABLE, netlink.DUMP, b""))
    except NetlinkError:
        return []  # a kernel without flowtables
    found = [dict(attributes(answer)) for answer in answers]
    return [f"{text(each.get(1, b''))} {text(each.get(2, b''))}" for each in found]


def _expressions(data: bytes) -> Iterator[tuple[str, dict[int, bytes]]]:
    for _, each in attributes(data):
        parts = dict(attributes(each))
        yield text(parts.get(_EXPRESSION_NAME, b"")), dict(attributes(parts.get(_EXPRESSION_DATA, b"")))


def _number(data: dict[int, bytes], kind: int) -> int:
    return int.from_bytes(data.get(kind, b""), "big")


def _value(data: dict[int, bytes], kind: int) -> bytes:
    return dict(attributes(data.get(kind, b""))).get(_DATA_VALUE, b"")


def _verdict(data: dict[int, bytes]) -> int:
    verdict = dict(attributes(dict(attributes(data.get(_IMMEDIATE_DATA, b""))).get(_DATA_VERDICT, b"")))
    return int.from_bytes(verdict.get(_VERDICT_CODE, b"\xff\xff\xff\xff"), "big")
