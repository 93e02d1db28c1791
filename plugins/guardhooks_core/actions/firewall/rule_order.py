"""Which rules of iptables stand in front of another one and accept packets that it is meant for.

An accepting rule in front is the usual reason why a banned address gets through. Only what is understood counts as
certain: source, protocol, ports, state, interface; any other condition makes a rule one that *may* match.
"""

from __future__ import annotations

import ipaddress
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, TypeAlias

from guardhooks import Finding, Level, safe_text
from guardhooks_core.actions.firewall.findings import missing
from guardhooks_core.actions.firewall.parameters import Parameters
from guardhooks_core.actions.firewall.ports import parse_ports

_BUILT_IN: Final = frozenset(
    {"ACCEPT", "DROP", "REJECT", "RETURN", "LOG", "NFLOG", "MARK", "CONNMARK", "SET", "TCPMSS"}
)
_HARMLESS: Final = frozenset({"--comment", "--reject-with", "--log-prefix", "--log-level", "-c"})
_SOURCES: Final = frozenset({"-s", "--source"})
_DEPTH: Final = 16


class Match(IntEnum):
    """How much of the traffic a rule takes."""

    NONE = 0
    SOME = 1
    ESTABLISHED = 2
    """All of it, once a connection is established."""
    ALL = 3


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; `words` are its arguments behind the chain's name, without counters."""

    chain: str
    words: tuple[str, ...]
    packets: int = 0

    @property
    def target(self) -> str:
        """Where it leads: a verdict or a chain; empty where it only counts."""
        return next((self.words[i + 1] for i, word in enumerate(self.words[:-1]) if word in ("-j", "-g")), "")

    @property
    def text(self) -> str:
        """As `iptables -S` shows it."""
        return f"-A {self.chain} {shlex.join(self.words)}"


@dataclass(frozen=True, slots=True)
class Passage:
    """A rule in front that accepts, and how much of the traffic."""

    rule: Rule
    match: Match


Chains: TypeAlias = Mapping[str, Sequence[Rule]]


def chains_of(listing: str) -> dict[str, list[Rule]]:
    """All rules by chain, in order, from the output of `iptables -S -v`."""
    chains: dict[str, list[Rule]] = {}
    for line in listing.splitlines():
        words = shlex.split(line) if '"' in line else line.split()
        if len(words) < 2:
            continue
        rules = chains.setdefault(words[1], [])
        if words[0] == "-A":
            packets = 0
            if "-c" in words:
                place = words.index("-c")
                packets = int(words[place + 1])
                del words[place : place + 3]
            rules.append(Rule(words[1], tuple(words[2:]), packets))
    return chains


def accepted_before(
    chains: Chains, chain: str, is_ours: Callable[[Rule], bool], parameters: Parameters, address: str = ""
) -> Iterator[Passage]:
    """The rules that accept traffic of an action before the first rule of ours in `chain`.

    :param address: whose packets; empty for anybody's, of which a rule with a source takes some only.
    """
    asked = _Asked(chains, parameters, address)
    for rule in chains.get(chain, ()):
        if is_ours(rule):
            return
        yield from asked.accepted(rule, Match.ALL, _DEPTH)


@dataclass(frozen=True, slots=True)
class _Asked:
    chains: Chains
    parameters: Parameters
    address: str

    def accepted(self, rule: Rule, so_far: Match, depth: int) -> Iterator[Passage]:
        """The rules to which a rule leads, itself included, that accept."""
        match = min(so_far, match_of(rule, self.parameters, self.address))
        if match is Match.NONE or not depth:
            return
        if rule.target == "ACCEPT":
            yield Passage(rule, match)
        elif rule.target not in _BUILT_IN:
            for inner in self.chains.get(rule.target, ()):
                if inner.target == "RETURN" and match_of(inner, self.parameters, self.address) is Match.ALL:
                    return
                yield from self.accepted(inner, match, depth - 1)


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
        if word == "-m" or word in _HARMLESS:
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
_FIRST: Final = "remove it, or put it behind: the rule of guardhooks must come first in its chain"


@dataclass(slots=True)
class Inspection:
    """The rules of one IP version. `comments` mark those that an action should have, each with its chain."""

    version: int
    comments: Sequence[tuple[str, str]]
    chains: Mapping[str, Sequence[Rule]]

    @property
    def standing(self) -> list[Rule]:
        """The rules of the action that are there."""
        return [rule for rule in self._all() if any(rule.chain == chain and mark in rule.words
                                                    for chain, mark in self.comments)]  # fmt: skip

    @property
    def packets(self) -> int:
        """How many packets they have met."""
        return sum(rule.packets for rule in self.standing)

    def _all(self) -> Iterator[Rule]:
        for rules in self.chains.values():
            yield from rules

    def defects(self) -> Iterator[Finding]:
        """Rules that are not there, and chains that no packet comes to."""
        tool = "ip6tables" if self.version == 6 else "iptables"
        there = {(rule.chain, word) for rule in self.standing for word in rule.words}
        for chain in dict.fromkeys(chain for chain, mark in self.comments if (chain, mark) not in there):
            yield missing(f"{tool}: the rule in chain {chain} is not there")
        for chain in dict.fromkeys(chain for chain, _ in self.comments):
            if chain not in _BASE_CHAINS and not any(rule.target == chain for rule in self._all()):
                remedy = "add a jump to it, or give the action another chain="
                yield Finding(f"{tool}: no rule leads to chain {chain}, so no packet meets ours", Level.BAD, remedy)

    def in_front(self, parameters: Parameters, address: str) -> Iterator[Finding]:
        """What stands in front of our rules and accepts."""
        marks = {mark for _, mark in self.comments}
        for chain in dict.fromkeys(chain for chain, _ in self.comments):
            passages = list(
                accepted_before(self.chains, chain, lambda rule: not marks.isdisjoint(rule.words), parameters, address)
            )
            yield from (self._passage(each, address) for each in passages if each.match > Match.SOME)
            vague = [each for each in passages if each.match is Match.SOME]
            if vague:
                texts = "; ".join(safe_text(each.rule.text, 200) for each in vague[:_SHOWN])
                what = "1 rule" if len(vague) == 1 else f"{len(vague)} rules"
                yield Finding(f"{what} in front of ours may accept some of its packets: {texts}")

    def _passage(self, passage: Passage, address: str) -> Finding:
        text = f"`{safe_text(passage.rule.text, 300)}` stands in front of our rule and "
        if passage.match is Match.ESTABLISHED:
            text += "lets pass what belongs to an established connection: those that are open stay open"
            return Finding(text, Level.NOTE, "close them with the action conntrack, or put the rule behind ours")
        if address:
            return Finding(f"{text}accepts the packets of {address}", Level.BAD, _FIRST, False)
        return Finding(f"{text}accepts everybody's packets", Level.BAD, _FIRST)
