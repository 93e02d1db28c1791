"""The rules that make sets effective: one in iptables or ip6tables for each set, chain and protocol.

Each carries a comment with a fingerprint of what it should be, so that a rule of an older configuration is told from
the present one however iptables spells it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from guardhooks_core.actions.firewall import iptables
from guardhooks_core.actions.firewall.iptables import Rule
from guardhooks_core.actions.firewall.names import fingerprint
from guardhooks_core.actions.firewall.parameters import Parameters


def wanted_rules(parameters: Parameters, version: int, set_name: str) -> list[Rule]:
    """The rules for one set: one for each chain and protocol; more only where a port list is longer than a match."""
    verdict = parameters.verdict6 if version == 6 else parameters.verdict4
    target = verdict.iptables(ipv6=version == 6)
    rules = []
    for chain in parameters.chains:
        for selection in iptables.matches(parameters, version):
            match = (*selection, "-m", "set", "--match-set", set_name, "src")
            comment = f"guardhooks-{fingerprint(chain, match, target)}"
            rules.append(Rule(chain, (*match, "-m", "comment", "--comment", comment, *target)))
    return rules


class Changes(NamedTuple):
    """How many rules were added and removed, and the chains that do not exist, so that their rules could not be."""

    added: int
    removed: int
    absent_chains: tuple[str, ...] = ()


def reconcile(version: int, wanted: Mapping[str, Sequence[Rule]]) -> dict[str, Changes]:
    """Make exactly these rules exist for each set, atomically, in the chains that exist; the changes by set.

    :raises ActionError: when the tool is missing or refuses; then nothing has been changed.
    """
    chains = iptables.read_rules(version)
    current = _rules_of_sets(chains, wanted)
    additions, removals, counts = list[str](), list[str](), dict[str, Changes]()
    for name, rules in wanted.items():
        missing, stale = _difference(rules, current[name])
        absent = tuple(dict.fromkeys(rule.chain for rule in rules if rule.chain not in chains))
        missing = [rule for rule in missing if rule.chain in chains]
        additions += [f"-I {rule.chain} 1 {' '.join(rule.words)}" for rule in missing]
        removals += [f"-D {rule.specification}" for rule in stale]
        counts[name] = Changes(len(missing), len(stale), absent)
    if additions or removals:
        iptables.restore(version, [*additions, *removals])
    return counts


def _difference(wanted: Sequence[Rule], current: Sequence[Rule]) -> tuple[list[Rule], list[Rule]]:
    """The rules that are missing, and those that exist and should not."""
    missing = Counter((rule.chain, rule.comment) for rule in wanted)
    stale = []
    for rule in current:
        identity = rule.chain, rule.comment
        if missing[identity] > 0:
            missing[identity] -= 1
        else:
            stale.append(rule)
    return [rule for rule in wanted if missing[rule.chain, rule.comment] > 0], stale


def _rules_of_sets(chains: iptables.Chains, names: Iterable[str]) -> dict[str, list[Rule]]:
    """Our rules by the set that they match."""
    found: dict[str, list[Rule]] = {name: [] for name in names}
    for rules in chains.values():
        for rule in rules:
            if rule.has_our_comment and (name := rule.value("--match-set")) in found:
                found[name].append(rule)
    return found
