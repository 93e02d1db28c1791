"""From the groups that a regex captured to the offender they name: alternatives and tuples are combined first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias

from guardhooks.filters.tags import group_name
from guardhooks.net.addresses import canonical
from guardhooks.net.names import is_host_name

Value: TypeAlias = str | tuple[str | None, ...] | None
Groups: TypeAlias = dict[str, Value]

_DERIVED: Final = re.compile(r"(alt|tuple)_(.+?)(?:_\d+)?")


class Combiner:
    """Fills `name` from `alt_name…` and joins `tuple_name…` to it, in alphabetical order of the group names."""

    def __init__(self, names: Iterable[str]) -> None:
        self.alternatives: list[tuple[str, str]] = []
        self.tuples: list[tuple[str, str]] = []
        for name in sorted(names):
            if derived := _DERIVED.fullmatch(name):
                pairs = self.alternatives if derived[1] == "alt" else self.tuples
                pairs.append((name, group_name(derived[2])))
        self.needed = bool(self.alternatives or self.tuples)

    def combine(self, groups: Groups) -> None:
        for name, target in self.alternatives:
            if groups.get(name) and not groups.get(target):
                groups[target] = groups[name]
        for name, target in self.tuples:
            first, part = groups.get(target), groups.get(name)
            parts = first if isinstance(first, tuple) else (first,)
            groups[target] = (*parts, part if isinstance(part, str) else None)


@dataclass(frozen=True, slots=True)
class Identity:
    """The offender that a match counts against.

    `id` is empty if none can be named yet; `resolve` may then contain the host name to look up. `genuine` is False if
    an address tag captured what is neither an address (`999.1.1.1`) nor a host name (`8`): `id` is then that text, for
    traces only.
    """

    id: str = ""
    address: str = ""
    resolve: str = ""
    genuine: bool = True


NOBODY: Final = Identity()


def identify(groups: Mapping[str, Value], usedns: str, *, keep_names: bool = False) -> Identity:
    """The offender named by merged `groups`, under the jail's `usedns`.

    `keep_names` uses host names as ids, as traces show them.
    """
    offender = _offender(groups, usedns, keep_names=keep_names)
    fid = groups.get("fid")
    if not fid:
        return offender
    text = fid if isinstance(fid, str) else str(fid)
    named = text if usedns == "raw" else canonical(text).removesuffix("/0") or text
    single = canonical(text) if "/" not in text else ""
    return Identity(named, offender.address or single)


def _offender(groups: Mapping[str, Value], usedns: str, *, keep_names: bool) -> Identity:
    for group in ("ip4", "ip6"):
        text = groups.get(group)
        if isinstance(text, str) and text:
            cidr = groups.get("cidr")
            return _address(text, cidr if isinstance(cidr, str) else "")
    name = groups.get("dns")
    if not isinstance(name, str) or not name:
        return NOBODY
    if address := canonical(name):
        return Identity(address, address)
    if usedns == "raw":
        return Identity(name)
    if not is_host_name(name):
        return Identity(name, genuine=False)
    if keep_names:
        return Identity(name)
    return NOBODY if usedns == "no" else Identity(resolve=name)


@lru_cache(maxsize=8192)
def _address(text: str, cidr: str) -> Identity:
    address = canonical(text)
    if address:
        return Identity(_network(text, cidr) or address, address)
    return Identity(f"{text}/{cidr}" if cidr else text, genuine=False)


def _network(text: str, cidr: str) -> str:
    """The network; empty if the prefix is invalid. A /0 would ban everyone, so only its address is used."""
    network = canonical(f"{text}/{cidr}") if cidr else ""
    return network.removesuffix("/0")
