"""What the doctor finds in sets and rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from guardhooks import Ban, Finding, Level
from guardhooks_core.actions.firewall import iptables
from guardhooks_core.actions.firewall.entries import Entries
from guardhooks_core.actions.firewall.findings import (
    absent,
    covering,
    differences,
    element,
    fill,
    missing,
    traffic,
    verb,
)
from guardhooks_core.actions.firewall.parameters import Parameters, Policy
from guardhooks_core.actions.firewall.rule_order import Inspection, chains_of
from guardhooks_core.actions.ipset import rules, sets


def examine_action(
    parameters: Parameters, policy: Policy, names: Mapping[int, str], bans: Sequence[Ban], now: float
) -> Iterator[Finding]:
    """Are the sets and rules there, how full are they, do they hold what is due."""
    everything: Entries = {}
    for version, name in names.items():
        if version == 6 and not iptables.has_tool(version):
            yield Finding("ip6tables is not installed: IPv6 is not banned", Level.NOTE, "install it")
            continue
        held = sets.read(name)
        if held is None:
            yield missing(f"set {name} is not in the kernel")
        elif not held.fits(version):
            yield missing(f"set {name} is a {held.type} set that is not guardhooks' own")
        else:
            everything |= held.entries
            yield fill(name, len(held.entries), held.max_elements)
        inspection = _inspection(parameters, version, name)
        if defects := list(inspection.defects()):
            yield from defects
        else:
            yield Finding(f"rules for {name} are there: {inspection.packets} packets met them", Level.GOOD)
            yield from inspection.in_front(parameters, "")
    yield from differences(bans, everything, now, policy)


def examine_address(  # noqa: PLR0917 -- what is asked about, and how it is judged
    parameters: Parameters, policy: Policy, names: Mapping[int, str], bans: Sequence[Ban], now: float, address: str
) -> Iterator[Finding]:
    """Is the address in the set, is the rule there, what stands in front of it; the last finding decides."""
    version = 6 if ":" in address else 4
    name = names[version]
    held = sets.read(name)
    if held is None:
        yield Finding(f"set {name} is not in the kernel", Level.BAD, missing("").remedy, False)
        return
    found = covering(held.entries, address)
    if not found:
        yield absent(address, [name], bans)
        return
    for entry, left in found.items():
        yield element(name, entry, left, bans, now, policy, sets.LONGEST)
    inspection = _inspection(parameters, version, name)
    if defects := list(inspection.defects()):
        yield from defects
        yield Finding(f"{address} is in set {name}, but a rule that asks the set is missing", Level.BAD, "", False)
        return
    in_front = list(inspection.in_front(parameters, address))
    yield from in_front
    if not any(finding.blocks is False for finding in in_front):
        text = f"{traffic(parameters)} from {address} are {verb(parameters, version)} by set {name}"
        chains = ", ".join(parameters.chains)
        yield Finding(f"{text} in chain {chains} (its rules met {inspection.packets} packets so far)",
                      Level.GOOD if bans else Level.BAD, blocks=True)  # fmt: skip


def _inspection(parameters: Parameters, version: int, name: str) -> Inspection:
    wanted = rules.wanted_rules(parameters, version, name)
    return Inspection(
        version, [(rule.chain, rule.comment) for rule in wanted], chains_of(iptables.counted_listing(version))
    )
