"""What the kernel has of an action besides its bans, by netlink dumps that do not grow with their number.

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
from guardhooks_core.actions.firewall.netlink import NFTABLES, NetlinkError, attributes, string, text
from guardhooks_core.actions.nftables.ruleset import PRIORITIES, TABLE, Shape, jump_mark

INET: Final = 1
"""NFPROTO_INET."""

_GET_TABLE, _GET_CHAIN, _GET_RULE, _GET_SET, _GET_FLOWTABLE = (NFTABLES << 8 | command for command in (1, 4, 7, 10, 23))
_TABLE_NAME, _TABLE_FLAGS = 1, 2
_DORMANT: Final = 1
_CHAIN_NAME, _CHAIN_HOOK = 3, 4
_RULE_CHAIN, _RULE_HANDLE, _RULE_EXPRESSIONS, _RULE_USER_DATA = 2, 3, 4, 7
_COMMENT: Final = 0
_SET_NAME, _SET_DESCRIPTION = 2, 9
_SIZE: Final = 1
_FLOWTABLE_TABLE, _FLOWTABLE_NAME = 1, 2

_EXPRESSION_NAME, _EXPRESSION_DATA = 1, 2
_PACKETS: Final = 2
_IMMEDIATE_DATA: Final = 2
_DATA_VALUE, _DATA_VERDICT = 1, 2
_VERDICT_CODE: Final = 1
_ACCEPT: Final = 1
_META_REGISTER, _META_KEY = 1, 2
_NFPROTO: Final = 15
_PAYLOAD_REGISTER, _PAYLOAD_BASE, _PAYLOAD_OFFSET, _PAYLOAD_LENGTH = 1, 2, 3, 4
_NETWORK_HEADER: Final = 1
_SOURCE_OFFSET: Final = {4: 12, 6: 8}
_BITWISE_SOURCE, _BITWISE_TARGET, _BITWISE_MASK, _BITWISE_XOR = 1, 2, 4, 5
_COMPARE_REGISTER, _COMPARE_OPERATOR, _COMPARE_VALUE = 1, 2, 3
_EQUAL, _UNEQUAL = 0, 1
_FAMILIES: Final = {4: socket.AF_INET, 6: socket.AF_INET6}


@dataclass(frozen=True, slots=True)
class CurrentState:
    """What exists: `sets` by shape with their size (0: no limit), the marks of the chain's `rules` in order, the
    handles of the `jumps` to it by base chain, which `bases` there are, and whether `others` have chains in our table.
    """

    chain: bool = False
    sets: dict[Shape, int] = field(default_factory=dict)
    rules: tuple[str, ...] = ()
    jumps: dict[str, list[int]] = field(default_factory=dict)
    bases: frozenset[str] = frozenset()
    others: bool = False


def read(chain: str) -> CurrentState:
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
    return CurrentState(chain in chains, sets, tuple(rules), jumps, bases, bool(chains.keys() - bases - {chain}))


def dump(command: int, *texts: str) -> Iterator[dict[int, bytes]]:
    """All objects of one kind in our table, each as its attributes; none where there is no table.

    :param texts: leave out, undecoded, what contains none of these: nearly everything, with hundreds of actions.
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


def comment_of(data: bytes) -> str:
    """The comment in a rule's user data, empty where there is none."""
    offset = 0
    while offset + 2 <= len(data):
        kind, length = data[offset], data[offset + 1]
        if kind == _COMMENT:
            return text(data[offset + 2 : offset + 2 + length])
        offset += 2 + length
    return ""


@dataclass(frozen=True, slots=True)
class CurrentRule:
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
    """What is known of the kernel's registers while a rule is evaluated for the packets of an address."""

    def __init__(self, address: str) -> None:
        self._version = 6 if ":" in address else 4
        self._source = socket.inet_pton(_FAMILIES[self._version], address) if address else b""
        self._values: dict[bytes, bytes] = {}

    def run(self, expressions: tuple[tuple[str, dict[int, bytes]], ...]) -> bool | None:
        certain: bool | None = True
        for name, data in expressions:
            if name == "cmp":
                answer = self._compare(data)
                if answer is False:
                    return False
                certain = certain and answer
            elif name == "meta":
                value = self._protocol() if _number(data, _META_KEY) == _NFPROTO else b""
                self._load(data.get(_META_REGISTER, b""), value)
            elif name == "payload":
                self._load(data.get(_PAYLOAD_REGISTER, b""), self._payload(data))
            elif name == "bitwise":
                self._load(data.get(_BITWISE_TARGET, b""), self._masked(data))
            elif name not in ("immediate", "counter", "log"):
                certain = None
        return certain

    def _load(self, register: bytes, value: bytes) -> None:
        self._values[register] = value

    def _protocol(self) -> bytes:
        return bytes([2 if self._version == 4 else 10]) if self._source else b""

    def _payload(self, data: dict[int, bytes]) -> bytes:
        in_network_header = _number(data, _PAYLOAD_BASE) == _NETWORK_HEADER
        at_source = in_network_header and _number(data, _PAYLOAD_OFFSET) == _SOURCE_OFFSET[self._version]
        length = _number(data, _PAYLOAD_LENGTH)
        return self._source[:length] if at_source and length <= len(self._source) else b""

    def _masked(self, data: dict[int, bytes]) -> bytes:
        value = self._values.get(data.get(_BITWISE_SOURCE, b""), b"")
        mask, xor = _value(data, _BITWISE_MASK), _value(data, _BITWISE_XOR)
        if not value or len(mask) != len(value) or len(xor) != len(value):
            return b""
        return bytes(v & m ^ x for v, m, x in zip(value, mask, xor, strict=True))

    def _compare(self, data: dict[int, bytes]) -> bool | None:
        value = self._values.get(data.get(_COMPARE_REGISTER, b""), b"")
        operator = _number(data, _COMPARE_OPERATOR)
        if not value or operator not in {_EQUAL, _UNEQUAL}:
            return None
        return (value == _value(data, _COMPARE_VALUE)) == (operator == _EQUAL)


def current_rules() -> list[CurrentRule]:
    """All rules of our table, in order by chain; none where there is no table."""
    return [
        CurrentRule(
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
    """The flowtables of all tables: forwarded connections in one reach no rule any more."""
    try:
        answers = netlink.dump(netlink.message(_GET_FLOWTABLE, netlink.DUMP, b""))
    except NetlinkError:
        return []  # a kernel without flowtables
    found = [dict(attributes(answer)) for answer in answers]
    return [f"{text(each.get(_FLOWTABLE_TABLE, b''))} {text(each.get(_FLOWTABLE_NAME, b''))}" for each in found]


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
