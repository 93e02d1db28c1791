"""The rules of our table as they stand: order, counters, verdicts, and whether they can match an address.

Format: `linux/netfilter/nf_tables.h`. Of a rule's conditions only the source address and the IP version are followed
through the registers; any other leaves it open whether the rule matches.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from guardhooks_core.firewall import netlink
from guardhooks_core.firewall.netlink import NetlinkError, attributes
from guardhooks_core.nftables.reading import NFTABLES, comment_of, dump, text

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
