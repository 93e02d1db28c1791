"""`blocktype`: what happens to the packets of a banned address, in fail2ban's spellings for iptables and nftables."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from guardhooks import ActionError, safe_text

_ICMP: Final = {
    "port-unreachable": ("icmp-port-unreachable", "icmp6-port-unreachable"),
    "host-unreachable": ("icmp-host-unreachable", "icmp6-addr-unreachable"),
    "no-route": ("icmp-net-unreachable", "icmp6-no-route"),
    "admin-prohibited": ("icmp-admin-prohibited", "icmp6-adm-prohibited"),
}
"""Kind of rejection, in nftables' family-independent names, and what iptables and ip6tables call it."""

_SPELLINGS: Final = {
    "tcp-reset": "tcp-reset", "tcp-rst": "tcp-reset",
    "net-unreachable": "no-route", "prot-unreachable": "port-unreachable", "proto-unreachable": "port-unreachable",
    "net-prohibited": "admin-prohibited", "host-prohibited": "admin-prohibited", "adm-prohibited": "admin-prohibited",
    "addr-unreachable": "host-unreachable", "addr-unreach": "host-unreachable", "port-unreach": "port-unreachable",
    "host-unreach": "host-unreachable", "net-unreach": "no-route", "admin-prohib": "admin-prohibited",
    **{kind: kind for kind in _ICMP},
}  # fmt: skip
_REJECT: Final = re.compile(
    r"reject(?: (?:--reject-with|with) (?:(?:icmpx|icmpv6|icmp6|icmp)(?: type)? )?(?P<kind>[a-z0-9-]+(?: reset)?))?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reject` names the answer to the sender: `tcp-reset` or a kind of ICMP error; empty: the packet is dropped."""

    reject: str = ""

    def iptables(self, *, ipv6: bool) -> tuple[str, ...]:
        """The rule's target, as arguments of iptables or ip6tables."""
        if not self.reject:
            return "-j", "DROP"
        answer = self.reject if self.reject == "tcp-reset" else _ICMP[self.reject][ipv6]
        return "-j", "REJECT", "--reject-with", answer

    def nftables(self) -> dict[str, object]:
        """The statement as libnftables JSON."""
        if not self.reject:
            return {"drop": None}
        if self.reject == "tcp-reset":
            return {"reject": {"type": "tcp reset"}}
        return {"reject": {"type": "icmpx", "expr": self.reject}}


def parse_verdict(text: str) -> Verdict:
    """`DROP`, `drop`, `REJECT`, `REJECT --reject-with icmp-port-unreachable`, `reject with icmpx type no-route`, …

    The ICMP name of either family is understood for both.

    :raises ActionError: naming the spellings that are known.
    """
    words = " ".join(text.split())
    if words.lower() == "drop":
        return Verdict()
    if match := _REJECT.fullmatch(words):
        kind = (match["kind"] or "port-unreachable").lower().replace("tcp reset", "tcp-reset")
        for prefix in ("icmp6-", "icmpv6-", "icmp-"):
            kind = kind.removeprefix(prefix)
        if kind in _SPELLINGS:
            return Verdict(_SPELLINGS[kind])
    raise ActionError(
        f"blocktype {safe_text(text, 80)!r} is not understood: DROP, REJECT, or REJECT --reject-with "
        f"{', '.join(iptables for iptables, _ in _ICMP.values())}, tcp-reset"
    )
