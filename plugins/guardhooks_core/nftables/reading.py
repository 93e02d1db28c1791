"""What of an action stands in the kernel, by three netlink dumps that do not grow with the number of bans.

Format: `linux/netfilter/nf_tables.h`; the comment of a rule is the first kind of its user data (libnftnl, `udata.h`).
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from guardhooks_core.firewall import netlink
from guardhooks_core.firewall.netlink import NetlinkError, attributes, string
from guardhooks_core.firewall.problems import explain
from guardhooks_core.nftables.ruleset import PRIORITIES, TABLE, Shape, jump_mark

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
