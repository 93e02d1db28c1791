"""Rules of others that drop the packets of an address: who is not banned by us may be kept out all the same.

Reads `nft --json`, which shows the rules of iptables as well where iptables is nftables underneath; format:
libnftables-json(5). Only a rule whose every condition is understood, and holds for all packets of the address, counts.
"""

from __future__ import annotations

import ipaddress
import json
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from guardhooks.model import Finding
from guardhooks.text import safe_text

Json: TypeAlias = Mapping[str, Any]
Table: TypeAlias = tuple[str, str]
"""Family and name."""

OTHER_RULES: Final = "other rules"
"""What the findings are about."""
_OURS: Final = "guardhooks"
_HOOKS: Final = frozenset({"ingress", "prerouting", "input"})
_FAMILIES: Final = {4: frozenset({"ip", "inet"}), 6: frozenset({"ip6", "inet"})}
_PROTOCOLS: Final = {4: frozenset({"ip", "ipv4"}), 6: frozenset({"ip6", "ipv6"})}
_NEUTRAL: Final = frozenset({"counter", "log"})
_VERDICTS: Final = {"drop": "drop", "reject": "drop", "accept": "accept", "return": "", "jump": "", "goto": ""}
_MESSAGES: Final = frozenset({"icmp", "icmpv6", "ipv6-icmp", "igmp"})
_TIME_LIMIT: Final = 5.0
"""Seconds that nft may take."""
_DEPTH: Final = 16
"""So many jumps from chain to chain are followed."""


def dropping_rules(address: str) -> list[Finding]:
    """A finding for each rule that is not ours and drops all packets of an address. For a worker thread."""

    def in_set(table: Table, name: str) -> bool:
        return _nft("get", "element", *table, name, "{", address, "}") is not None

    found = []
    for where, is_certain in drops(_ruleset(), address, in_set):
        exception = "" if is_certain else ", except those that a rule before it accepts"
        text = f"a rule that is not guardhooks' drops its packets{exception}: {where}"
        found.append(Finding(text, blocks=True if is_certain else None))
    return found


def _ruleset() -> list[Json]:
    """All rules, without the elements of sets; nothing where nft is missing or refuses."""
    try:
        found: list[Json] = json.loads(_nft("--json", "--terse", "list", "ruleset") or "{}").get("nftables", [])
    except ValueError:
        return []
    return found


def _nft(*words: str) -> bytes | None:
    """What nft prints; None where it is missing, refuses or has no such thing."""
    try:
        return subprocess.run(["nft", *words], capture_output=True, timeout=_TIME_LIMIT, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None


def drops(listed: Sequence[Json], address: str, in_set: Callable[[Table, str], bool]) -> Iterator[tuple[str, bool]]:
    """Where everything from an address is dropped, once for each base chain at most, and whether that is certain: no
    rule before accepts some of it.

    :param in_set: whether the address is in a named set.
    """
    ruleset = _Ruleset(address, in_set)
    for entry in listed:
        if chain := entry.get("chain"):
            ruleset.chains[chain["family"], chain["table"], chain["name"]] = chain
        elif rule := entry.get("rule"):
            ruleset.rules.setdefault((rule["family"], rule["table"], rule["chain"]), []).append(rule)
    for key, chain in ruleset.chains.items():
        if chain.get("hook") in _HOOKS and ruleset.concerns(key[0], key[1]):
            ruleset.accepts_some = False
            verdict, where = ruleset.follow(key, _DEPTH)
            if verdict == "drop":
                yield safe_text(f"chain {where[2]} of table {where[0]} {where[1]}"), not ruleset.accepts_some


@dataclass
class _Ruleset:
    """The rules of a machine, looked at for one address. `accepts_some`: a rule on the way accepts some packets."""

    address: str
    in_set: Callable[[Table, str], bool]
    chains: dict[tuple[str, str, str], Json] = field(default_factory=dict)
    rules: dict[tuple[str, str, str], list[Json]] = field(default_factory=dict)
    accepts_some: bool = False

    def __post_init__(self) -> None:
        self._parsed = ipaddress.ip_address(self.address)

    def concerns(self, family: str, table: str) -> bool:
        """Whether a table sees packets of this address, and is not ours."""
        return family in _FAMILIES[self._parsed.version] and table != _OURS

    def follow(self, key: tuple[str, str, str], depth: int) -> tuple[str, tuple[str, str, str]]:
        """What happens to every packet in a chain: `drop`, `accept`, or empty where that is not the same for all."""
        for rule in self.rules.get(key, ()) if depth else ():
            expressions: list[Json] = rule.get("expr", [])
            holds = [self._holds(each, (key[0], key[1])) for each in expressions]
            verb, target = _verdict_of(expressions)
            if False in holds or not verb:
                continue
            verdict, where = _VERDICTS[verb], key
            if target:
                verdict, where = self.follow((key[0], key[1], target), depth - 1)
            if None not in holds:
                if verdict or verb in {"goto", "return"}:
                    return verdict, where
            elif verdict == "accept" and not any(map(_is_harmless, expressions)):
                self.accepts_some = True
        return "", key

    def _holds(self, expression: Json, table: Table) -> bool | None:
        """Whether an expression lets every packet of the address go on in its rule; None if only some, or unknown."""
        (name, value), *_ = expression.items()
        if name != "match":
            return True if name in _NEUTRAL or name in _VERDICTS else None
        left, right = value.get("left"), value.get("right")
        if not isinstance(left, dict):
            return None
        if left.get("meta", {}).get("key") in {"iif", "iifname"}:
            return False if right == "lo" else None
        if (meta := left.get("meta")) is not None:
            known = meta.get("key") in {"nfproto", "protocol"} and isinstance(right, str)
            found = right in _PROTOCOLS[self._parsed.version] if known else None
        elif (payload := left.get("payload")) is not None and payload.get("field") == "saddr":
            is_family = payload.get("protocol") in _PROTOCOLS[self._parsed.version]
            found = is_family and self._is_in(right, table)
            if not is_family:
                return False
        else:
            return None
        negated = value.get("op") == "!="
        return found if found is None or not negated else not found

    def _is_in(self, right: object, table: Table) -> bool | None:
        """Whether the address is what the right side of a comparison means; None if that is not understood."""
        if isinstance(right, str):
            if right.startswith("@"):
                return self.in_set(table, right[1:])
            return self._between(right, right)
        if not isinstance(right, dict):
            return None
        if (prefix := right.get("prefix")) is not None:
            network = ipaddress.ip_network(f"{prefix['addr']}/{prefix['len']}", strict=False)
            return self._parsed in network
        if (ends := right.get("range")) is not None:
            return self._between(*ends)
        if (members := right.get("set")) is not None:
            found = [self._is_in(each.get("elem", {}).get("val", each) if isinstance(each, dict) else each, table)
                     for each in members]  # fmt: skip
            return True if True in found else None if None in found else False
        return None

    def _between(self, first: str, last: str) -> bool | None:
        try:
            low, high = ipaddress.ip_address(first), ipaddress.ip_address(last)
        except ValueError:
            return None
        return low.version == self._parsed.version and int(low) <= int(self._parsed) <= int(high)


def _verdict_of(expressions: Sequence[Json]) -> tuple[str, str]:
    """The verdict of a rule, and the chain that it leads to; empty where it has none."""
    for expression in expressions:
        (verb, value), *_ = expression.items()
        if verb in _VERDICTS:
            return verb, str(value["target"]) if verb in {"jump", "goto"} else ""
    return "", ""


def _is_harmless(expression: Json) -> bool:
    """Whether a condition leaves no new connection of TCP or UDP to an accepting rule."""
    match = expression.get("match", {})
    left, right = match.get("left"), match.get("right")
    if not isinstance(left, dict):
        return False
    if left.get("ct", {}).get("key") == "state":
        return "new" not in (right if isinstance(right, list) else [right])
    if left.get("payload", {}).get("protocol") in _MESSAGES:
        return True
    return left.get("meta", {}).get("key") == "l4proto" and right in _MESSAGES
