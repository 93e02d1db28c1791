"""The content of our table: base chains, a chain for each action, its sets and rules; as libnftables JSON.

The base chain hooks prerouting at priority -110: behind connection tracking (-200), so that a rejection is an answer
within its connection; before destination NAT (-100), so that `port` is the port that clients see, for containers
too; and so before every filter chain of the machine. All traffic to and through the host passes there.

Each set holds entries of one prefix length, which its rule masks off: an address inside a banned prefix is just another
entry in another set, intervals never overlap, and adding costs the same however full a set is.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from guardhooks_core.actions.firewall.entries import Entries, entry_text
from guardhooks_core.actions.firewall.names import fingerprint, kernel_name
from guardhooks_core.actions.firewall.parameters import Parameters
from guardhooks_core.actions.nftables.libnftables import Command

FAMILY: Final = "inet"
TABLE: Final = "guardhooks"
CHAIN_PREFIX: Final = "f2b-"
PREROUTING: Final = ("prerouting",)
LOCAL_AND_FORWARDED: Final = ("input", "forward")
"""Hooks for rejecting on kernels before 5.9, which cannot reject in prerouting."""

PRIORITIES: Final = {"prerouting": -110, "input": -10, "forward": -10}
_NAME_LIMIT: Final = 64
_SET: Final = re.compile(r"(.+)-[46]-\d+")
_FIELDS: Final = {4: ("ip", "ipv4_addr"), 6: ("ip6", "ipv6_addr")}


class Shape(NamedTuple):
    """Distinguishes the sets of one action: IP version and prefix length."""

    version: int
    prefix: int


def chain_name(name: str) -> str:
    """The chain of an action."""
    return kernel_name(CHAIN_PREFIX, name, limit=_NAME_LIMIT)


def set_name(chain: str, shape: Shape) -> str:
    """The set of one shape of the action with that chain."""
    return f"{chain}-{shape.version}-{shape.prefix}"


def chain_of(name: str) -> str:
    """The chain of the action that a set of this name belongs to; another name unchanged."""
    match = _SET.fullmatch(name)
    return match[1] if match else name


def jump_mark(chain: str) -> str:
    """The comment of the jumps to an action's chain."""
    return f"guardhooks-jump-{fingerprint(chain)}"


def wanted_rules(parameters: Parameters, chain: str, shapes: Iterable[Shape]) -> dict[str, list[object]]:
    """The rules of an action, by the mark that each carries as its comment."""
    rules: dict[str, list[object]] = {}
    for shape in sorted(shapes):
        verdict = parameters.verdict6 if shape.version == 6 else parameters.verdict4
        expression = [*_traffic(parameters, shape.version), _source(chain, shape), {"counter": None}]
        expression.append(verdict.nftables())
        rules[f"guardhooks-{fingerprint(expression)}"] = expression
    return rules


def _traffic(parameters: Parameters, version: int) -> list[object]:
    matches: list[object] = []
    if parameters.protocols:
        names = [_protocol(name, version) for name in parameters.protocols]
        matches.append(_match({"meta": {"key": "l4proto"}}, {"set": names}))
    if parameters.ports:
        ranges = [first if first == last else {"range": [first, last]} for first, last in parameters.ports]
        matches.append(_match({"payload": {"protocol": "th", "field": "dport"}}, {"set": ranges}))
    if parameters.new_only:
        matches.append(_match({"ct": {"key": "state"}}, "new", operator="in"))
    return matches


def _protocol(name: str, version: int) -> str:
    if name in ("icmp", "icmpv6"):
        return "ipv6-icmp" if version == 6 else "icmp"
    return name


def _source(chain: str, shape: Shape) -> object:
    protocol = _FIELDS[shape.version][0]
    address: object = {"payload": {"protocol": protocol, "field": "saddr"}}
    bits = 128 if shape.version == 6 else 32
    if shape.prefix < bits:
        mask = ((1 << shape.prefix) - 1) << (bits - shape.prefix)
        address = {"&": [address, str(ipaddress.ip_address(mask.to_bytes(bits // 8, "big")))]}
    return _match(address, f"@{set_name(chain, shape)}")


def _match(left: object, right: object, operator: str = "==") -> object:
    return {"match": {"op": operator, "left": left, "right": right}}


def frame(chain: str, hooks: Sequence[str]) -> list[Command]:
    """Table, base chains and the action's chain; what is there already stays as it is."""
    commands: list[Command] = [{"add": {"table": {"family": FAMILY, "name": TABLE}}}]
    for hook in hooks:
        base = {"type": "filter", "hook": hook, "prio": PRIORITIES[hook], "policy": "accept"}
        commands.append(_add_chain(hook, base))
    return [*commands, _add_chain(chain, {})]


def _add_chain(name: str, properties: dict[str, object]) -> Command:
    return {"add": {"chain": {"family": FAMILY, "table": TABLE, "name": name, **properties}}}


def add_set(chain: str, shape: Shape, size: int, entries: Entries | None = None) -> Command:
    """A set, with entries where it replaces another one. For a `size` above 0 the kernel reserves memory."""
    described: dict[str, object] = {**_set(chain, shape), "type": _FIELDS[shape.version][1]}
    described["flags"] = ["timeout"]
    if size:
        described["size"] = size
    if entries:
        described["elem"] = [
            _json_element(entry_text(entry).partition("/")[0], left) for entry, left in entries.items()
        ]
    return {"add": {"set": described}}


def _json_element(address: str, left: float) -> object:
    return address if left == float("inf") else {"elem": {"val": address, "timeout": max(1, round(left))}}


def delete_set(chain: str, shape: Shape) -> Command:
    """Remove a set that no rule uses."""
    return {"delete": {"set": _set(chain, shape)}}


def _set(chain: str, shape: Shape) -> dict[str, object]:
    return {"family": FAMILY, "table": TABLE, "name": set_name(chain, shape)}


def refill(chain: str, rules: dict[str, list[object]]) -> list[Command]:
    """Give the action's chain exactly these rules."""
    place = {"family": FAMILY, "table": TABLE, "chain": chain}
    return [
        flush_chain(chain),
        *({"add": {"rule": {**place, "expr": expression, "comment": mark}}} for mark, expression in rules.items()),
    ]


def flush_chain(chain: str) -> Command:
    """Remove all rules of the action's chain."""
    return {"flush": {"chain": {"family": FAMILY, "table": TABLE, "name": chain}}}


def add_jump(base: str, chain: str) -> Command:
    """Send the packets of a base chain through the action's chain."""
    return {
        "add": {
            "rule": {
                "family": FAMILY,
                "table": TABLE,
                "chain": base,
                "expr": [{"jump": {"target": chain}}],
                "comment": jump_mark(chain),
            }
        }
    }


def delete_jump(base: str, handle: int) -> Command:
    """Remove one such rule."""
    return {"delete": {"rule": {"family": FAMILY, "table": TABLE, "chain": base, "handle": handle}}}


def delete_chain(chain: str) -> Command:
    """Remove the action's chain, which is empty and no longer jumped to."""
    return {"delete": {"chain": {"family": FAMILY, "table": TABLE, "name": chain}}}


DELETE_TABLE: Final[Command] = {"delete": {"table": {"family": FAMILY, "name": TABLE}}}
