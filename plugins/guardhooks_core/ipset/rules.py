"""The rules that make a set bite: iptables and ip6tables, by argument lists.

One reading (`-S`) tells which of our rules stand; each carries a comment with a fingerprint of what it should be, so
that a rule of an older configuration is told from the present one whatever way iptables spells it.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from guardhooks import ActionError, safe_text
from guardhooks_core.firewall import xtables
from guardhooks_core.firewall.names import fingerprint
from guardhooks_core.firewall.parameters import Parameters

_COMMENT: Final = re.compile(r"--comment \"?(guardhooks-[0-9a-f]+)\"?")


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule in a chain: all arguments behind the chain's name, and the comment that identifies it."""

    chain: str
    arguments: tuple[str, ...]
    comment: str


def wanted_rules(parameters: Parameters, version: int, set_name: str) -> list[Rule]:
    """The rules for one set: one for each chain and protocol; more only where a port list is longer than a match."""
    verdict = parameters.verdict6 if version == 6 else parameters.verdict4
    target = verdict.iptables(ipv6=version == 6)
    rules = []
    for chain in parameters.chains:
        for selection in xtables.matches(parameters, version):
            match = (*selection, "-m", "set", "--match-set", set_name, "src")
            comment = f"guardhooks-{fingerprint(chain, match, target)}"
            rules.append(Rule(chain, (*match, "-m", "comment", "--comment", comment, *target), comment))
    return rules


def reconcile(version: int, set_name: str, wanted: Sequence[Rule]) -> tuple[int, int]:
    """Make exactly the wanted rules stand for this set; how many were put in and taken out. New ones come first.

    :raises ActionError: when a chain does not exist, the tool is missing or refuses.
    """
    listing = xtables.listing(version)
    missing = Counter((rule.chain, rule.comment) for rule in wanted)
    stale = []
    for line in _ours(listing, set_name):
        identity = (line[1], _comment_of(line))
        if missing[identity] > 0:
            missing[identity] -= 1
        else:
            stale.append(line)
    chains = xtables.chains_in(listing)
    absent = [rule for rule in wanted if missing[rule.chain, rule.comment] > 0]
    for rule in absent:
        if rule.chain not in chains:
            raise ActionError(
                f"{xtables.TOOLS[version]} has no chain {safe_text(rule.chain, 40)}: create it, or change chain="
            )
    for rule in absent:
        xtables.change(version, "-I", rule.chain, "1", *rule.arguments)
    for line in stale:
        xtables.change(version, "-D", *line[1:])
    return len(absent), len(stale)


def _ours(listing: str, set_name: str) -> Iterator[list[str]]:
    mark = f"--match-set {set_name} src"
    for line in listing.splitlines():
        if line.startswith("-A ") and mark in line and _COMMENT.search(line):
            yield shlex.split(line)


def _comment_of(words: Sequence[str]) -> str:
    return words[words.index("--comment") + 1]
