"""Which rules of iptables come before another one and accept packets that it is meant for.

An accepting rule before ours is the usual reason why the packets of a banned address get through. Only what is
understood counts as certain: source, protocol, ports, state, interface; any other condition makes a rule one that *may*
match.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from guardhooks import Finding, Level, safe_text
from guardhooks_core.actions.firewall.findings import missing
from guardhooks_core.actions.firewall.iptables import TOOLS, Chains, Rule
from guardhooks_core.actions.firewall.parameters import Parameters
from guardhooks_core.actions.firewall.ports import parse_ports

_BUILT_IN: Final = frozenset(
    {"ACCEPT", "DROP", "REJECT", "RETURN", "LOG", "NFLOG", "MARK", "CONNMARK", "SET", "TCPMSS"}
)
_WITHOUT_EFFECT: Final = frozenset({"--comment", "--reject-with", "--log-prefix", "--log-level", "-c"})
_SOURCES: Final = frozenset({"-s", "--source"})
_DEPTH: Final = 16
"""So many jumps from chain to chain are followed."""


class Match(IntEnum):
    """How much of the traffic a rule takes."""

    NONE = 0
    SOME = 1
    ESTABLISHED = 2
    """All of it, once a connection is established."""
    ALL = 3


@dataclass(frozen=True, slots=True)
class AcceptingRule:
    """A rule before ours that accepts, and how much of the traffic."""

    rule: Rule
    match: Match


def accepting_rules_before(
    chains: Chains, chain: str, is_ours: Callable[[Rule], bool], parameters: Parameters, address: str = ""
) -> Iterator[AcceptingRule]:
    """The rules that accept traffic of an action before the first rule of ours in `chain`.

    :param address: whose packets; empty for anybody's, of which a rule with a source takes some only.
    """
    search = _Search(chains, parameters, address)
    for rule in chains.get(chain, ()):
        if is_ours(rule):
            return
        yield from search.accepting(rule, Match.ALL, _DEPTH)


@dataclass(frozen=True, slots=True)
class _Search:
    """Whose packets to follow through the chains."""

    chains: Chains
    parameters: Parameters
    address: str

    def accepting(self, rule: Rule, so_far: Match, depth: int) -> Iterator[AcceptingRule]:
        """The rules to which a rule leads, itself included, that accept."""
        match = min(so_far, match_of(rule, self.parameters, self.address))
        if match is Match.NONE or not depth:
            return
        if rule.target == "ACCEPT":
            yield AcceptingRule(rule, match)
        elif rule.target not in _BUILT_IN:
            for inner in self.chains.get(rule.target, ()):
                if inner.target == "RETURN" and match_of(inner, self.parameters, self.address) is Match.ALL:
                    return
                yield from self.accepting(inner, match, depth - 1)


def match_of(rule: Rule, parameters: Parameters, address: str) -> Match:
    """How much of an action's traffic from an address a rule matches."""
    match = Match.ALL
    words = iter(rule.words)
    negated = False
    for word in words:
        if word == "!":
            negated = True
            continue
        if word in ("-j", "-g"):
            break  # what follows belongs to the target
        if word == "-m" or word in _WITHOUT_EFFECT:
            next(words, "")
            continue
        if not word.startswith("-"):
            continue  # a further value of an option that was not understood
        match = min(match, _condition(word, next(words, ""), parameters, address, negated=negated))
        negated = False
    return match


def _condition(option: str, value: str, parameters: Parameters, address: str, *, negated: bool) -> Match:
    if option in _SOURCES:
        return _source(value, address, negated=negated)
    if negated:
        return Match.SOME
    if option == "-p":
        return _protocol(value, parameters)
    if option in ("--dport", "--dports"):
        return _ports(value, parameters)
    if option in ("--ctstate", "--state"):
        return _state(value, parameters)
    if option == "-i" and value == "lo" and not _is_local(address):
        return Match.NONE
    return Match.SOME


def _source(value: str, address: str, *, negated: bool) -> Match:
    if not address:
        return Match.SOME
    try:
        inside = ipaddress.ip_address(address) in ipaddress.ip_network(value, strict=False)
    except ValueError:
        return Match.SOME
    return Match.ALL if inside != negated else Match.NONE


def _protocol(value: str, parameters: Parameters) -> Match:
    name = {"ipv6-icmp": "icmpv6"}.get(value, value)
    if parameters.protocols and name not in parameters.protocols:
        return Match.NONE
    return Match.ALL if parameters.protocols == (name,) else Match.SOME


def _ports(value: str, parameters: Parameters) -> Match:
    if not parameters.ports:
        return Match.SOME
    theirs = parse_ports(value)
    if not theirs:
        return Match.ALL
    meeting = any(first <= end and begin <= last for first, last in parameters.ports for begin, end in theirs)
    whole = all(any(begin <= first and last <= end for begin, end in theirs) for first, last in parameters.ports)
    return Match.ALL if whole else Match.SOME if meeting else Match.NONE


def _state(value: str, parameters: Parameters) -> Match:
    states = set(value.split(","))
    if "NEW" in states:
        return Match.ALL if parameters.new_only or "ESTABLISHED" in states else Match.SOME
    if "ESTABLISHED" in states:
        return Match.NONE if parameters.new_only else Match.ESTABLISHED
    return Match.SOME if "RELATED" in states else Match.NONE


def _is_local(address: str) -> bool:
    return bool(address) and ipaddress.ip_address(address).is_loopback


_BASE_CHAINS: Final = frozenset({"INPUT", "FORWARD", "OUTPUT"})
_SHOWN: Final = 3
_REMEDY: Final = "remove it, or move it behind: the rule of guardhooks must come first in its chain"


@dataclass(slots=True)
class Inspection:
    """The rules of one IP version. `comments` mark those that an action should have, each with its chain."""

    version: int
    comments: Sequence[tuple[str, str]]
    chains: Chains

    @property
    def current(self) -> list[Rule]:
        """The rules of the action that exist."""
        wanted = set(self.comments)
        return [rule for rule in self._all() if (rule.chain, rule.comment) in wanted]

    @property
    def packets(self) -> int:
        """How many packets they have matched."""
        return sum(rule.packets for rule in self.current)

    def _all(self) -> Iterator[Rule]:
        for rules in self.chains.values():
            yield from rules

    def defects(self) -> Iterator[Finding]:
        """Rules that are missing, and chains that no packet reaches."""
        tool = TOOLS[self.version]
        current = {(rule.chain, rule.comment) for rule in self.current}
        for chain in dict.fromkeys(chain for chain, mark in self.comments if (chain, mark) not in current):
            yield missing(f"{tool}: the rule in chain {chain} is missing")
        for chain in dict.fromkeys(chain for chain, _ in self.comments):
            if chain not in _BASE_CHAINS and not any(rule.target == chain for rule in self._all()):
                remedy = "add a jump to it, or give the action another chain="
                yield Finding(f"{tool}: no rule leads to chain {chain}, so no packet reaches ours", Level.BAD, remedy)

    def accepting_before(self, parameters: Parameters, address: str) -> Iterator[Finding]:
        """What accepts packets before our rules see them."""
        marks = {mark for _, mark in self.comments}
        for chain in dict.fromkeys(chain for chain, _ in self.comments):
            accepting = list(
                accepting_rules_before(self.chains, chain, lambda rule: rule.comment in marks, parameters, address)
            )
            yield from (self._accepting_rule(each, address) for each in accepting if each.match > Match.SOME)
            vague = [each for each in accepting if each.match is Match.SOME]
            if vague:
                texts = "; ".join(safe_text(each.rule.text, 200) for each in vague[:_SHOWN])
                what = "1 rule" if len(vague) == 1 else f"{len(vague)} rules"
                yield Finding(f"{what} before our rule may accept some of its packets: {texts}")

    def _accepting_rule(self, found: AcceptingRule, address: str) -> Finding:
        text = f"`{safe_text(found.rule.text, 300)}` comes before our rule and "
        if found.match is Match.ESTABLISHED:
            text += "accepts the packets of established connections: those that are open stay open"
            return Finding(text, Level.NOTE, "close them with the action conntrack, or move the rule behind ours")
        if address:
            return Finding(f"{text}accepts the packets of {address}", Level.BAD, _REMEDY, False)
        return Finding(f"{text}accepts everybody's packets", Level.BAD, _REMEDY)
