"""The dynamic tags: what a command may know about the ban that it runs for, under fail2ban's names."""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from guardhooks import Ban, LedgerView
from guardhooks_core.actions.common.offender import address_of


@dataclass(frozen=True, slots=True)
class TagContext:
    """Gives the dynamic tags of one run of a command their values: for `ban`, or for none (start, stop, check, flush).

    `bantime` is the jail's ban time in seconds. `host` is the reverse DNS name of the address, looked up beforehand;
    empty if there is none.
    """

    jail: str
    family: str
    now: float
    ban: Ban | None = None
    host: str = ""
    ledger: LedgerView | None = None
    bantime: float = 600.0

    def value(self, tag: str) -> str | None:
        """The value of a tag; None if it is not a dynamic tag. Without a ban: what fail2ban gives such commands."""
        if tag.startswith("F-"):
            return self._field(tag[2:].lower())
        if tag.startswith("jail."):
            return self._jail(tag[5:])
        if tag == "family":
            return self.family if self.ban is None else _family(self.ban)
        if tag not in _OF_BAN:
            return None
        if self.ban is None:
            return self._without_ban(tag)
        if tag == "ip-host":
            return self.host or "None"  # fail2ban's value, which scripts test for
        if tag in {"ipfailures", "ipjailfailures"}:
            return str(self._failures(self.ban, everywhere=tag == "ipfailures"))
        return _OF_BAN[tag](self.ban)

    def _without_ban(self, tag: str) -> str:
        if tag == "bantime":
            return _seconds(self.bantime)
        return str(int(self.now)) if tag == "time" else _WITHOUT_BAN.get(tag, "")

    def _field(self, name: str) -> str:
        if self.ban is None:
            return ""
        if name == "id":
            return self.ban.id
        value = self.ban.fields.get(name, self.ban.fields.get(f"f{name}"))
        if isinstance(value, tuple):
            return str(value)
        return value or ""

    def _jail(self, what: str) -> str | None:
        if what == "name":
            return self.jail
        if what not in {"banned", "banned_total", "found", "found_total"}:
            return None
        if self.ledger is None:
            return "0"
        totals = self.ledger.totals(self.jail)
        return str({"banned": totals.banned, "banned_total": totals.bans}.get(what, totals.failures))

    def _failures(self, ban: Ban, *, everywhere: bool) -> int:
        if self.ledger is None:
            return ban.failures
        known = [each for each in self.ledger.history(ban.id) if everywhere or each.jail == ban.jail]
        return sum(each.failures for each in known) or ban.failures


def reversed_address(address: str) -> str:
    """The address as DNS lists want it: `1.2.0.192.` for 192.0.2.1, 32 nibbles for IPv6; first address of a prefix."""
    if not address:
        return ""
    pointer = ipaddress.ip_address(address.partition("/")[0]).reverse_pointer
    return pointer.removesuffix("in-addr.arpa").removesuffix("ip6.arpa")


def _family(ban: Ban) -> str:
    address = address_of(ban)
    if not address:
        return "None"  # As for `ip-host`.
    return "inet6" if ":" in address else "inet4"


def _seconds(length: float) -> str:
    return "-1" if math.isinf(length) else str(round(length))


def _matches(ban: Ban) -> str:
    return "\n".join(ban.matches)


_WITHOUT_BAN: Final = {
    "ip-host": "None", "failures": "0", "ipfailures": "0", "ipjailfailures": "0", "bancount": "0", "restored": "0",
}  # fmt: skip
"""The tags of a ban that are not empty without one."""
_OF_BAN: Final[Mapping[str, Callable[[Ban], str]]] = {
    "ip": lambda ban: address_of(ban) or ban.id,
    "fid": lambda ban: ban.id,
    "ip-rev": lambda ban: reversed_address(address_of(ban)),
    "ip-host": lambda ban: "",  # noqa: ARG005 -- known to the context
    "failures": lambda ban: str(ban.failures),
    "ipfailures": lambda ban: str(ban.failures),
    "ipjailfailures": lambda ban: str(ban.failures),
    "time": lambda ban: str(int(ban.start)),
    "bantime": lambda ban: _seconds(ban.length),
    "bancount": lambda ban: str(ban.count),
    "matches": _matches,
    "ipmatches": _matches,
    "ipjailmatches": _matches,
    "restored": lambda ban: str(int(ban.restored)),
    "raw-ticket": repr,
}
