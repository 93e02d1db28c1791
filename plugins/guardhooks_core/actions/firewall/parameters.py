"""The parameters of a firewall action, read from its brackets and file under fail2ban's names, and validated."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from guardhooks import ActionError, ActionSpec, ConfigError, Option, OptionTable, option_types, safe_text
from guardhooks_core.actions.common.options import for_family, is_wanted_native, value
from guardhooks_core.actions.firewall.ports import Ports, parse_ports
from guardhooks_core.actions.firewall.stock_commands import has_stock_commands
from guardhooks_core.actions.firewall.verdict import Verdict, parse_verdict

_WITH_PORTS: Final = ("tcp", "udp", "sctp", "dccp", "udplite")
_PROTOCOLS: Final = (*_WITH_PORTS, "icmp", "icmpv6", "esp", "ah", "gre")
_ALIASES: Final = {"ipv6-icmp": "icmpv6", "icmp6": "icmpv6", "0": "all", "any": "all", "6": "tcp", "17": "udp"}
_TYPES: Final = ("multiport", "allports", "oneport")
_CHAIN: Final = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.:-]{0,27}")

_MOST_ELEMENTS: Final = (1 << 32) - 1
_MAXELEM: Final = Option(
    "maxelem",
    option_types.integer(0, _MOST_ELEMENTS),
    0,
    "how many entries each set may hold; nftables: 0 for no limit",
    default_text="ipset 1048576, nftables 0",
)
_AGGREGATE: Final = Option(
    "aggregate", option_types.BOOLEAN, False, "when a set is full, neighbours are merged into prefixes"
)
_WIDEST: Final[Mapping[int, Option[int]]] = {
    4: Option("aggregateipv4", option_types.integer(8, 32), 24, "never into IPv4 prefixes wider than this"),
    6: Option("aggregateipv6", option_types.integer(8, 128), 56, "never into IPv6 prefixes wider than this"),
}
_STRANGERS: Final = Option(
    "strangers",
    option_types.choice("remove", "adopt"),
    "remove",
    "what happens to entries that somebody else put into our sets: `adopt` makes them bans of the jail",
)
RULE_OPTIONS: Final[tuple[Option[Any], ...]] = (
    Option(
        "type", option_types.TEXT, "multiport", "`multiport`, `oneport`: the ports of `port`; `allports`: every port"
    ),
    Option("blocktype", option_types.TEXT, "reject", "`drop` or a reject; `blocktype?family=inet6` differs for IPv6"),
    Option("returntype", option_types.TEXT, "RETURN", "what happens to all other packets; only the file can change it"),
)
SET_OPTIONS: Final[tuple[Option[Any], ...]] = (_MAXELEM, _AGGREGATE, *_WIDEST.values(), _STRANGERS)
PASSING_NAMES: Final = ("auto", "observe")
"""Actions that take the options of whatever may stand in their place."""


def table_of(names: Collection[str], *, sets: bool) -> OptionTable:
    """The options of a firewall action that is served under these names."""
    options = (*RULE_OPTIONS, *SET_OPTIONS) if sets else RULE_OPTIONS
    title = "Firewall actions that use sets" if sets else "Firewall actions with a rule for each ban"
    return OptionTable("action", options, names=tuple(sorted(names)), title=title)


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
    """Whether a plugin that works with sets may serve the action in place of its file.

    Not with `native = no`, nor where the site has written commands of its own.
    """
    if wants_rules(action) or is_inverted(action):
        return False
    return is_wanted_native(action) and has_stock_commands(action)


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
            max_elements=value(action, _MAXELEM),
        )
        _check_reset(parameters)
    except ActionError as error:
        raise ActionError(f"action {action.actname}: {error}") from None
    except ConfigError as error:
        raise ActionError(str(error)) from None
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


@dataclass(frozen=True, slots=True)
class Policy:
    """`adopt`: unexpected entries, which somebody added by hand, become bans, else they are removed. `widest`: the
    shortest prefix that neighbours may be merged into when a set is full, by IP version; None where they must not.
    """

    adopt: bool = False
    widest: Mapping[int, int] | None = None


def parse_policy(action: ActionSpec) -> Policy:
    """Read `strangers`, `aggregate`, `aggregateipv4` and `aggregateipv6`.

    :raises ConfigError: naming the parameter, what was found and what is allowed.
    """
    widest = {version: value(action, option) for version, option in _WIDEST.items()}
    return Policy(value(action, _STRANGERS) == "adopt", widest if value(action, _AGGREGATE) else None)
