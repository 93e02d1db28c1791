"""The parameters of a firewall action, read from its brackets and file under fail2ban's names, and validated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from guardhooks import ActionError, ActionSpec, safe_text
from guardhooks_core.actions.common.options import for_family, is_wanted_native
from guardhooks_core.actions.firewall.ports import Ports, parse_ports
from guardhooks_core.actions.firewall.verdict import Verdict, parse_verdict

_WITH_PORTS: Final = ("tcp", "udp", "sctp", "dccp", "udplite")
_PROTOCOLS: Final = (*_WITH_PORTS, "icmp", "icmpv6", "esp", "ah", "gre")
_ALIASES: Final = {"ipv6-icmp": "icmpv6", "icmp6": "icmpv6", "0": "all", "any": "all", "6": "tcp", "17": "udp"}
_TYPES: Final = ("multiport", "allports", "oneport")
_CHAIN: Final = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.:-]{0,27}")


@dataclass(frozen=True, slots=True)
class Parameters:
    """What an action wants.

    `protocols` is empty for every protocol; `ports` is empty for every port. `new_only` limits it to packets that open
    a connection. `max_elements` is how many entries a set may hold; 0 leaves it to the kernel.
    """

    name: str
    protocols: tuple[str, ...]
    ports: Ports
    chains: tuple[str, ...]
    verdict4: Verdict
    verdict6: Verdict
    new_only: bool
    max_elements: int


def is_native(action: ActionSpec) -> bool:
    """Whether a plugin that works with sets may serve the action in place of its file: not with `native = no`."""
    return is_wanted_native(action) and not wants_rules(action) and not is_inverted(action)


def wants_rules(action: ActionSpec) -> bool:
    """Whether the action asks for a rule for each ban instead of a set: `native = rules`."""
    return action.get("native").strip().lower() == "rules"


def is_inverted(action: ActionSpec) -> bool:
    """Whether the action inverts its meaning, which only its file can do.

    `blocktype=RETURN` with `returntype=DROP` admits the "banned" and blocks all others (jail `pass2allow-ftp`).
    """
    inverted = for_family(action, "returntype", 4).strip().upper() not in {"", "RETURN"}
    return inverted or for_family(action, "blocktype", 4).strip().upper() in {"RETURN", "ACCEPT"}


def parse_parameters(action: ActionSpec) -> Parameters:
    """Read and check all parameters of `action`.

    :raises ActionError: naming the parameter, what was found and what is allowed.
    """
    try:
        protocols = parse_protocols(action.get("protocol", "tcp"))
        ports = _ports(action, protocols)
        if ports:
            protocols = with_ports(protocols)
        parameters = Parameters(
            name=action.get("name"),
            protocols=protocols,
            ports=ports,
            chains=_chains(action.get("chain", "INPUT")),
            verdict4=parse_verdict(for_family(action, "blocktype", 4) or "REJECT"),
            verdict6=parse_verdict(for_family(action, "blocktype", 6) or "REJECT"),
            new_only=action.name.endswith("-new"),
            max_elements=_max_elements(action.get("maxelem", "0")),
        )
        _check_reset(parameters)
    except ActionError as error:
        raise ActionError(f"action {action.actname}: {error}") from None
    else:
        return parameters


def _check_reset(parameters: Parameters) -> None:
    verdicts = (parameters.verdict4, parameters.verdict6)
    if any(verdict.reject == "tcp-reset" for verdict in verdicts) and parameters.protocols != ("tcp",):
        raise ActionError("blocktype tcp-reset works for protocol=tcp only: use DROP, or another way to reject")


def parse_protocols(text: str) -> tuple[str, ...]:
    """The protocols of a list; empty for all of them.

    :raises ActionError: naming the one that is unknown.
    """
    names = [_ALIASES.get(name, name) for name in text.lower().replace(",", " ").split()]
    if not names:
        raise ActionError("protocol= is empty: tcp, udp, icmp, all, or a list")
    for name in names:
        if name != "all" and name not in _PROTOCOLS:
            raise ActionError(f"protocol {safe_text(name, 40)!r} is unknown: all, {', '.join(_PROTOCOLS)}")
    return () if "all" in names else tuple(dict.fromkeys(names))


def with_ports(protocols: tuple[str, ...]) -> tuple[str, ...]:
    """The protocols where ports are wanted: tcp and udp stand for all.

    :raises ActionError: naming one that has none.
    """
    if not protocols:
        return ("tcp", "udp")
    for name in protocols:
        if name not in _WITH_PORTS:
            raise ActionError(f"protocol {name} has no ports: use type=allports, or one of {', '.join(_WITH_PORTS)}")
    return protocols


def _ports(action: ActionSpec, protocols: tuple[str, ...]) -> Ports:
    if action.name.endswith("-allports"):
        return ()
    kind = action.get("type", "multiport").strip().strip("<>").lower()
    if kind not in _TYPES:
        raise ActionError(f"type {safe_text(kind, 40)!r} is unknown: {', '.join(_TYPES)}")
    if kind == "allports":
        return ()
    return parse_ports(action.get("port", "ssh"), dict.fromkeys([*protocols, "tcp", "udp"]))


def _chains(text: str) -> tuple[str, ...]:
    chains = tuple(dict.fromkeys(text.replace(",", " ").split()))
    for chain in chains:
        if not _CHAIN.fullmatch(chain):
            raise ActionError(f"chain {safe_text(chain, 60)!r} is not a chain name")
    if not chains:
        raise ActionError("chain= is empty: INPUT, or a list such as INPUT, DOCKER-USER")
    return chains


def _max_elements(text: str) -> int:
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 10 and int(digits) < 1 << 32):
        raise ActionError(f"maxelem {safe_text(text, 40)!r} is not a whole number up to 4294967295")
    return int(digits)


_WIDEST: Final = {4: 24, 6: 56}
_YES: Final = {"yes": True, "true": True, "on": True, "1": True, "no": False, "false": False, "off": False, "0": False}
_ADOPT: Final = {"remove": False, "adopt": True}
"""Values of `strangers`: what happens to entries in our sets that are not bans."""


@dataclass(frozen=True, slots=True)
class Policy:
    """`adopt`: unexpected entries, which somebody added by hand, become bans, else they are removed. `widest`: the
    shortest prefix that neighbours may be merged into when a set is full, by IP version; None where they must not.
    """

    adopt: bool = False
    widest: Mapping[int, int] | None = None


def parse_policy(action: ActionSpec) -> Policy:
    """Read `strangers`, `aggregate`, `aggregateipv4` and `aggregateipv6`.

    :raises ActionError: naming the parameter, what was found and what is allowed.
    """
    try:
        adopt = _ADOPT[action.get("strangers", "remove").strip().lower()]
    except KeyError:
        raise _error(action, "strangers", "remove or adopt") from None
    try:
        aggregate = _YES[action.get("aggregate", "no").strip().lower()]
    except KeyError:
        raise _error(action, "aggregate", "yes or no") from None
    widest = {version: _length(action, version) for version in _WIDEST}
    return Policy(adopt, widest if aggregate else None)


def _length(action: ActionSpec, version: int) -> int:
    key, bits = f"aggregateipv{version}", 32 if version == 4 else 128
    text = action.get(key, str(_WIDEST[version])).strip().removeprefix("/")
    if not (text.isascii() and text.isdigit() and len(text) < 4 and 8 <= int(text) <= bits):
        raise _error(action, key, f"a prefix length from 8 to {bits}")
    return int(text)


def _error(action: ActionSpec, key: str, allowed: str) -> ActionError:
    return ActionError(f"action {action.actname}: {key} {safe_text(action.get(key), 40)!r} is unknown: {allowed}")
