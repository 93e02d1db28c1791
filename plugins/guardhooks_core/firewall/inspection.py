"""What the doctor finds out about rules of iptables: are ours there, what stands in front, what they have met."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from guardhooks import Finding, Level, safe_text
from guardhooks_core.firewall.findings import missing
from guardhooks_core.firewall.parameters import Parameters
from guardhooks_core.firewall.passage import Match, Passage, Rule, accepted_before

_BUILT_IN: Final = frozenset({"INPUT", "FORWARD", "OUTPUT"})
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
            if chain not in _BUILT_IN and not any(rule.target == chain for rule in self._all()):
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
