"""The rules that make sets bite: iptables and ip6tables, without a shell.

One reading (`-S`) tells which of our rules stand; each carries a comment with a fingerprint of what it should be, so
that a rule of an older configuration is told from the present one whatever way iptables spells it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from guardhooks import ActionError, safe_text
from guardhooks_core.actions.firewall import iptables
from guardhooks_core.actions.firewall.names import fingerprint
from guardhooks_core.actions.firewall.parameters import Parameters

_SET: Final = re.compile(r"--match-set (\S+) src")
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
        for selection in iptables.matches(parameters, version):
            match = (*selection, "-m", "set", "--match-set", set_name, "src")
            comment = f"guardhooks-{fingerprint(chain, match, target)}"
            rules.append(Rule(chain, (*match, "-m", "comment", "--comment", comment, *target), comment))
    return rules


def reconcile(version: int, wanted: Mapping[str, Sequence[Rule]]) -> dict[str, tuple[int, int]]:
    """Make exactly these rules stand for each set, in one moment; how many were put in and taken out, by set.

    :raises ActionError: when a chain does not exist, the tool is missing or refuses; then nothing has been changed.
    """
    listing = iptables.listing(version)
    standing, chains = _standing(listing, wanted), iptables.chains_in(listing)
    additions, removals, counts = list[str](), list[str](), dict[str, tuple[int, int]]()
    for name, rules in wanted.items():
        absent, stale = _difference(rules, standing[name])
        for rule in absent:
            if rule.chain not in chains:
                tool = iptables.TOOLS[version]
                raise ActionError(f"{tool} has no chain {safe_text(rule.chain, 40)}: create it, or change chain=")
        additions += [f"-I {rule.chain} 1 {' '.join(rule.arguments)}" for rule in absent]
        removals += [f"-D {line.removeprefix('-A ')}" for line in stale]
        counts[name] = len(absent), len(stale)
    if additions or removals:
        iptables.restore(version, [*additions, *removals])
    return counts


def _difference(wanted: Sequence[Rule], lines: Sequence[str]) -> tuple[list[Rule], list[str]]:
    """The rules that are missing, and the lines that stand there and should not."""
    missing = Counter((rule.chain, rule.comment) for rule in wanted)
    stale = []
    for line in lines:
        found = _COMMENT.search(line)
        identity = (line.split(maxsplit=2)[1], found[1] if found else "")
        if missing[identity] > 0:
            missing[identity] -= 1
        else:
            stale.append(line)
    return [rule for rule in wanted if missing[rule.chain, rule.comment] > 0], stale


def _standing(listing: str, names: Iterable[str]) -> dict[str, list[str]]:
    """Our lines of a listing, by the set that they match."""
    found: dict[str, list[str]] = {name: [] for name in names}
    for line in listing.splitlines():
        match = _SET.search(line)
        if match and match[1] in found and line.startswith("-A ") and _COMMENT.search(line):
            found[match[1]].append(line)
    return found
